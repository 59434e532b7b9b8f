"""Batches from stored examples: a pure function of the seed and the examples' numbers, the same under every layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.data import Counted
from modelwright_plugins.engine.packing import packed
from modelwright_plugins.engine.wanted_values import wanted_values
from modelwright_plugins.objective.visible import positions, seen
from modelwright_plugins.parts import called
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from modelwright_plugins.aligner import Aligner
    from modelwright_plugins.engine.mixed_examples import Draws

Tokens = NDArray[np.int64]
IGNORED = -1  # a label that is no target
MISMATCHED = "loss_mismatched_"


@dataclass(frozen=True)
class Row:
    """Tokens that a model reads, and what it is to predict at each: one longer than what it reads."""

    tokens: Tokens  # [n]
    targets: NDArray[np.bool_]  # [n] which are to be predicted; the first can't be


@dataclass(frozen=True)
class ExampleBatches(Counted):
    """Examples, each as `rows` rows, in a random order each epoch. The rows of a batch are filled up at their ends to the longest, to a
    multiple of `multiple` positions, which nothing sees and which are no targets. Where they are packed, one "example" is a sequence of
    several rows that don't see each other."""

    examples: StoredExamples
    vocabulary: Vocabulary
    length: int  # positions of a row at most
    seed: int
    rows: int = 1  # of each example in a batch
    multiple: int = 1  # a batch's positions are a multiple of it, or `length`: what the layout and the kernels can share out
    before: tuple[Tokens, ...] = ()  # what is put before each stored row; none: nothing
    sequences: list[list[int]] | None = None  # stored rows that stand in one sequence; None: each example by itself
    draws: Draws | None = None  # which example, or sequence, is drawn when; None: all of them in a random order each epoch
    reference: NDArray[np.float32] | None = None  # [stored rows] log-probability of its targets under the first weights
    mismatched_reference: NDArray[np.float32] | None = None  # [examples] the same of each prompt with another example's reply
    mismatched: bool = False  # each prompt with another example's reply is in a batch too
    values: bool = False  # the model gives values, for which rows are read up to their last token

    @classmethod
    def of(
        cls, examples: StoredExamples, aligner: Aligner, vocabulary: Vocabulary, *, length: int, global_batch: int, seed: int,
        pack: bool = False, multiple: int = 1, before: tuple[Tokens, ...] = (),
    ) -> ExampleBatches:  # fmt: skip
        """Raises ModelwrightError if rows are longer than a sequence, or there are fewer than `global_batch` examples, or sequences."""
        about = f"{examples.folder} ({examples.part})"
        if examples.kind not in aligner.examples:
            name, kinds = called("aligner", aligner), " or ".join(aligner.examples)
            raise ModelwrightError(f"{about} holds examples of the kind {examples.kind}; aligner {name} learns from {kinds}")
        values = aligner.head == "value"
        lengths = _positions(examples, before, values)
        more = max((len(tokens) for tokens in before), default=0)
        if too_long := int((lengths > length).sum()):
            raise ModelwrightError(
                f"{about}: {too_long:,} of {len(lengths):,} rows are longer than align.sequence_length={length}, the longest by "
                f"{int(lengths.max()) - length}; nothing is cut here: take align.sequence_length="
                f"{max(int(lengths.max()), longest_held_out(examples, values))}, which held-out rows fit into too, or have prepare "
                f"leave out or shorten what is too long (prepare.max_length={length + (not values) - more})"
            )
        replies = int(np.diff(examples.first_rows).max()) if len(examples) else 0
        sequences = packed(lengths, length) if pack and aligner.packs else None
        rows = aligner.rows(replies)
        found = cls(examples, vocabulary, length, seed, rows, multiple, before, sequences, mismatched=aligner.mismatched, values=values)
        if replies > found.rows:
            raise ModelwrightError(f"{about} has examples of {replies} replies; aligner {called('aligner', aligner)} takes {found.rows}")
        if found.count < global_batch:
            what = "sequences that examples are packed into" if sequences is not None else "examples"
            raise ModelwrightError(f"{about} has {found.count} {what}, fewer than align.global_batch={global_batch}; take a smaller batch")
        return found

    @property
    def count(self) -> int:
        """Examples of an epoch, or sequences that they are packed into."""
        return len(self.examples) if self.sequences is None else len(self.sequences)

    def batch(self, first: int, size: int, part: int = 0, parts: int = 1) -> dict[str, torch.Tensor]:
        """Part `part` of `parts` of the examples `first` to `first + size` - 1, over all epochs: tensors [size / parts * rows, …]."""
        share, rest = divmod(size, parts)
        if rest:
            raise ModelwrightError(f"align.global_batch={size} can't be shared out to {parts} data ranks")
        numbers = [self.number(n) for n in range(first + part * share, first + (part + 1) * share)]
        if self.sequences is not None:
            return self.laid([[self.row(row) for row in self.sequences[n]] for n in numbers])
        told = [[*self.examples.rows_of(n)] for n in numbers]
        stored = [row for rows in told for row in (*rows, *[-1] * (self.rows - len(rows)))]
        found = self.stored(stored) | {"loss_rows": torch.full((len(stored),), self.rows)}
        if self.reference is not None:
            found["loss_reference"] = torch.tensor([0.0 if row < 0 else float(self.reference[row]) for row in stored])
        if self.mismatched:
            found |= {MISMATCHED + name: value for name, value in self.laid([[self.mismatch(n)] for n in numbers]).items()}
            if self.mismatched_reference is not None:
                found[MISMATCHED + "reference"] = torch.from_numpy(self.mismatched_reference[numbers])
        return found

    def positions(self, batch: Mapping[str, torch.Tensor]) -> int:
        """Of each row of a batch."""
        return int(batch["input_ids"].shape[1])

    def tokens(self, drawn: int) -> int:
        """Positions of the first so many draws, over all epochs; without what only fills up."""
        if self.draws is not None:
            return int(self._tokens[self.draws.numbers(drawn)[:drawn]].sum())
        epochs, place = divmod(drawn, self.count)
        return int(epochs * self._tokens.sum() + self._tokens[_order(self.seed, epochs, self.count)[:place]].sum())

    @property
    def lengths(self) -> Tokens:
        """[stored rows] positions."""
        return _positions(self.examples, self.before, self.values)

    @cached_property
    def _tokens(self) -> Tokens:
        """[examples or sequences] positions that are no filler."""
        rows = self.lengths
        if self.sequences is not None:
            return np.array([rows[stored].sum() for stored in self.sequences])
        return np.diff(np.concatenate([[0], rows.cumsum()])[self.examples.first_rows])

    def number(self, drawn: int) -> int:
        """Which example, or sequence, is drawn as the one of this number, over all epochs."""
        if self.draws is not None:
            return int(self.draws.numbers(drawn + 1)[drawn])
        epoch, place = divmod(drawn, self.count)
        return int(_order(self.seed, epoch, self.count)[place])

    def stored(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """These stored rows, each by itself; -1 is a row without targets."""
        found = self.laid([[self.row(row)] if row >= 0 else [] for row in rows])
        scores = [float(self.examples.scores[row]) if row >= 0 else np.nan for row in rows]
        if self.values:
            found |= wanted_values(
                self.examples, rows, [len(self.before[row]) if self.before else 0 for row in rows], found["labels"].shape
            )
        return found | {"loss_scores": torch.tensor(scores, dtype=torch.float32)}

    def laid(self, sequences: Sequence[Sequence[Row]]) -> dict[str, torch.Tensor]:
        """Sequences of rows that don't see each other: tensors [sequences, positions, …]."""
        longest = max(sum(len(row.tokens) - 1 for row in rows) for rows in sequences)
        shape = (len(sequences), min(self.length, -(-max(longest, 1) // self.multiple) * self.multiple))
        text, labels = np.full(shape, self.vocabulary.end_of_document, np.int64), np.full(shape, IGNORED, np.int64)
        groups = np.zeros(shape, np.int64)
        for place, rows in enumerate(sequences):
            begin = 0
            for number, row in enumerate(rows):
                here = slice(begin, end := begin + len(row.tokens) - 1)
                text[place, here] = row.tokens[:-1]
                labels[place, here] = np.where(row.targets[1:], row.tokens[1:], IGNORED)
                groups[place, here] = number
                begin = end
            # what fills up one row sees it, and is seen by none of it: that is what causal attention does anyway, and does fast
            groups[place, begin:] = len(rows) if len(rows) > 1 else 0
        visible = np.stack([seen(each, causal=True) for each in groups])
        found = {
            "input_ids": text,
            "position_ids": np.stack([positions(each) for each in visible]),
            "attention_mask": visible,
            "labels": labels,
            "loss_mask": (labels >= 0).astype(np.float32),
        }
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def row(self, row: int) -> Row:
        """A stored row, with what is put before it."""
        stored, mask = self.examples.row(row)
        tokens, targets = stored.astype(np.int64), mask.astype(bool)
        if self.values:  # one more, which it does not read
            tokens, targets = np.append(tokens, self.vocabulary.end_of_document), np.zeros(len(tokens) + 1, bool)
        if not self.before or not len(more := self.before[row]):
            return Row(tokens, targets)
        begin = int(len(tokens) > 0 and tokens[0] == self.vocabulary.end_of_document)  # a document may begin with it
        return Row(
            np.concatenate([tokens[:begin], more, tokens[begin:]]),
            np.concatenate([targets[:begin], np.zeros(len(more), bool), targets[begin:]]),
        )

    def mismatch(self, example: int) -> Row:
        """An example's prompt, and the first reply of the one after it in an order that is drawn once. A prompt whose end alone fits beside
        the reply loses its beginning; the reply is whole."""
        one, other = (self.row(self.examples.rows_of(n)[0]) for n in (example, int(self._followers[example])))
        prompt, reply = _reply(one), _reply(other)
        keep = max(0, self.length + 1 - (len(other.tokens) - reply))
        tokens = np.concatenate([one.tokens[:prompt][max(0, prompt - keep) :], other.tokens[reply:]])
        targets = np.concatenate([np.zeros(len(tokens) - (len(other.tokens) - reply), bool), other.targets[reply:]])
        return Row(tokens, targets)

    @cached_property
    def _followers(self) -> Tokens:
        order = np.random.default_rng([self.seed, 0, 4]).permutation(len(self.examples))  # 4 sets it apart from epochs' orders
        found = np.empty_like(order)
        found[order] = np.roll(order, -1)
        return found


def _positions(examples: StoredExamples, before: tuple[Tokens, ...], values: bool) -> Tokens:
    """[rows] how many of a row's positions are read: not that of its last token, which is only predicted, unless values are wanted."""
    return np.maximum(examples.lengths + np.array([len(tokens) for tokens in before] or 0) - (not values), 0)


def longest_held_out(examples: StoredExamples, values: bool) -> int:
    """Positions of the longest row that is held out, without what an aligner puts before it; 0: there is none."""
    longest: int = examples.about.get("held_out", {}).get("longest", 0)
    return max(longest - (not values), 0)


@lru_cache(2)
def _order(seed: int, epoch: int, count: int) -> Tokens:
    return np.random.default_rng([seed, epoch]).permutation(count)


def _reply(row: Row) -> int:
    """Where the first target stands."""
    return int(row.targets.argmax()) if row.targets.any() else len(row.tokens)
