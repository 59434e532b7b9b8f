"""Batches of a model's own replies: drawn with the weights that are trained, scored, and learned from, round after round.

A round's replies are drawn at its first update, in the middle of the engine's loop: `Rollouts` takes the place of batches and says only
which rows an update has, and `drawing.Drawing`, in the place of a reference model, gives the micro-batches of these rows what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.aligner.on_policy import OnPolicy
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.example_batches import ExampleBatches, longest_held_out
from modelwright_plugins.engine.position import Position
from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.parts import called
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

Inputs = dict[str, Any]


@dataclass
class Newest:
    """The update that was laid out last."""

    positions: int = 0  # of each of its rows on this rank, with what only fills up
    tokens: int = 0  # of all its rows on all data ranks, without


@dataclass(frozen=True)
class Rollouts:
    """Which rows each update has: a pure function of the seed, like batches of examples. An update has `global_batch` prompts."""

    examples: StoredExamples
    vocabulary: Vocabulary
    length: int  # positions of a row at most
    seed: int
    aligner: OnPolicy
    global_batch: int
    multiple: int = 1  # a batch's positions are a multiple of it, or `length`
    newest: Newest = field(default_factory=Newest)  # what `drawing.Drawing` says of it

    @classmethod
    def of(
        cls, examples: StoredExamples, aligner: OnPolicy, vocabulary: Vocabulary, *, length: int, global_batch: int, seed: int,
        multiple: int, most: int,
    ) -> Rollouts:  # fmt: skip
        """ModelwrightError: no prompts, or prompts beside which replies of `most` tokens don't fit."""
        about = f"{examples.folder} ({examples.part})"
        if examples.kind not in aligner.examples:
            name, kinds = called("aligner", aligner), " or ".join(aligner.examples)
            raise ModelwrightError(f"{about} holds examples of the kind {examples.kind}; aligner {name} learns from {kinds}")
        if too_long := int((examples.lengths + most > length + 1).sum()):
            longest = max(int(examples.lengths.max()), longest_held_out(examples, True))
            raise ModelwrightError(
                f"{about}: beside {too_long:,} of {len(examples):,} prompts a reply of generator.max_new_tokens={most} does not fit into "
                f"align.sequence_length={length}; take align.sequence_length={longest + most - 1}, a smaller generator.max_new_tokens, or "
                f"have prepare leave out long prompts (prepare.max_length={max(2, length + 1 - most)})"
            )
        if not len(examples):
            raise ModelwrightError(f"{about} has no prompts")
        return cls(examples, vocabulary, length, seed, aligner, global_batch, multiple)

    @property
    def rows(self) -> int:
        """Of each prompt in an update."""
        return self.aligner.rows(0)

    @property
    def count(self) -> int:
        """Prompts of an epoch."""
        return len(self.examples)

    def batch(self, first: int, size: int, part: int = 0, parts: int = 1) -> dict[str, torch.Tensor]:
        """Part `part` of `parts` of the rows of draws `first` to `first + size` - 1, by their numbers over all updates."""
        share, rest = divmod(size, parts)
        if rest:
            raise ModelwrightError(f"align.global_batch={size} can't be shared out to {parts} data ranks")
        begin = (first + part * share) * self.rows
        return {"loss_number": torch.arange(begin, begin + share * self.rows)}

    def positions(self, batch: Mapping[str, torch.Tensor]) -> int:
        """Of the rows that the newest micro-batches have."""
        return self.newest.positions

    def updated(self, position: Position) -> None:
        position.tokens += self.newest.tokens

    def read(self, position: Position) -> int:
        return position.tokens

    def come(self, position: Position) -> tuple[int, str]:
        """How many tokens there will be is not known before the end."""
        return position.updates, "update"

    def place(self, update: int) -> tuple[int, int]:
        """(round, which of its updates)"""
        return divmod(update, self.aligner.updates)

    @property
    def prompts(self) -> int:
        """Of a round."""
        return self.global_batch * self.aligner.minibatches

    def drawn(self, number: int) -> NDArray[np.int64]:
        """[prompts] the stored examples of a round: a permutation an epoch."""
        from modelwright_plugins.engine.example_batches import _order

        numbers = number * self.prompts + np.arange(self.prompts)
        return np.array([_order(self.seed, int(n) // self.count, self.count)[int(n) % self.count] for n in numbers], np.int64)

    def of_update(self, number: int, place: int) -> NDArray[np.int64]:
        """[global_batch] which of a round's prompts are learned from in this of its updates: in another order each epoch."""
        epoch, batch = divmod(place, self.aligner.minibatches)
        order = np.arange(self.prompts)
        if self.aligner.updates > 1:  # 3 sets these numbers apart from those of other orders
            order = np.random.default_rng([self.seed, number, epoch, 3]).permutation(self.prompts)
        return order[batch * self.global_batch : (batch + 1) * self.global_batch]

    def seeds(self, number: int, prompts: Sequence[int]) -> list[int]:
        """Of each reply to these of a round's prompts."""
        firsts = [number * self.prompts + each for each in prompts]
        samples = range(self.aligner.samples)
        return [int(np.random.SeedSequence([self.seed, 2, n, s]).generate_state(1)[0]) for n in firsts for s in samples]

    @cached_property
    def layer(self) -> ExampleBatches:
        """What lays rows out."""
        return ExampleBatches(self.examples, self.vocabulary, self.length, self.seed, self.rows, self.multiple)


@dataclass(frozen=True, kw_only=True)
class OnRollouts(Loss):
    """An aligner's loss, with what was drawn told beside it."""

    aligner: OnPolicy
    rewards: tuple[str, ...] = ()

    @property
    def drawn(self) -> tuple[str, ...]:
        return ("reward", *(f"reward/{name}" for name in self.rewards), "length", "finished")

    @property
    def measures(self) -> tuple[str, ...]:
        return (*self.drawn, *self.aligner.measures)

    def loss(self, output: torch.Tensor, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        return self.aligner.loss(output, inputs)

    def metrics(self, output: torch.Tensor, inputs: Inputs) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        count = torch.tensor(len(output), device=output.device)
        return {name: (inputs[f"loss_{name}"].sum(), count) for name in self.drawn} | dict(self.aligner.metrics(output, inputs))
