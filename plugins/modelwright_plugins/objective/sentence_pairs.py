"""Masked LM over pairs of segments, and what the pair is: BERT's next-sentence prediction, ALBERT's sentence order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective.masked_lm import Masking

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.objective import Example, Passage

    Segment = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pairs(Masking):
    """[CLS] A [SEP] B [SEP], padded: masked LM over both, and the pair's class at [CLS].

    The text is the longest part of one document in a stretch of the training text, cut in two at a place that is as likely as any
    other (there are no sentences in a stream of tokens). The loss is the sum of both tasks' mean losses, in nats; a pair counts as
    often as its segments have masked tokens, 15 % of their length.
    """

    neutral: ClassVar[Mapping[str, int]] = {"tokentype_ids": 0, "pair_labels": -1}

    first_token: str = "[CLS]"  # begins every sequence; its name, should the tokenizer have one
    separator: str = "[SEP]"  # ends every segment; its name, should the tokenizer have one

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (self.mask_token, self.first_token, self.separator)

    @abstractmethod
    def pair(self, passage: Passage) -> tuple[Segment, Segment, int]:
        """(A, B, class 0 or 1), at most `passage.length` - 3 tokens together."""

    def example(self, passage: Passage) -> Example:
        import numpy as np

        special, length = passage.vocabulary.special, passage.length
        a, b, kind = self.pair(passage)
        first, end = [special[self.first_token]], [special[self.separator]]
        text = np.concatenate([first, a, end, b, end])
        given, labels = self.hide(text, passage)
        used, place = len(text), np.arange(length)
        padding = length - used
        real = place < used
        weights = np.pad(labels >= 0, (0, padding)).astype(np.float32)
        weights[0] = weights.sum()
        return {
            "input_ids": np.pad(given, (0, padding), constant_values=passage.vocabulary.end_of_document),
            "position_ids": np.where(real, place, 0),
            "tokentype_ids": ((place > len(a) + 1) & real).astype(np.int64),
            "attention_mask": np.stack([np.where(real, 0, place), np.where(real, used, place + 1)], 1),
            "labels": np.pad(labels, (0, padding), constant_values=-1),
            "pair_labels": np.where(place == 0, kind, -1),
            "loss_weights": weights,
        }

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return (output.float() * inputs["loss_weights"]).sum(), (inputs["labels"] >= 0).sum().to(torch.int)

    def problems(self, architecture: Architecture) -> list[str]:
        found = super().problems(architecture)
        if not found and not getattr(architecture, "pair_head", False):
            found.append(f"objective.{type(self).__name__} wants architecture.pair_head=true")
        if not found and getattr(architecture, "token_types", 0) < 2:
            found.append(f"objective.{type(self).__name__} wants architecture.token_types of 2 or more")
        return found


@dataclass(frozen=True, kw_only=True)
class NextSentence(Pairs):
    """BERT's objective: masked LM, and whether B follows A (Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 2).

    In half of the pairs B is what follows A (class 0), in the others it is from anywhere (class 1).
    """

    def spans(self, length: int) -> tuple[int, ...]:
        return (length - 3, length - 3)

    def pair(self, passage: Passage) -> tuple[Segment, Segment, int]:
        one, other = (longest_part(span, passage.vocabulary.end_of_document) for span in passage.spans)
        cut = int(passage.random.integers(1, len(one)))
        kind = int(passage.random.integers(2))
        return one[:cut], other[: len(one) - cut] if kind else one[cut:], kind


@dataclass(frozen=True, kw_only=True)
class SentenceOrder(Pairs):
    """ALBERT's objective: masked LM, and whether two segments are swapped (Lan et al. 2020, arXiv:1909.11942, section 3.1).

    Half of the pairs are in order (class 0), the others swapped (class 1).
    """

    def spans(self, length: int) -> tuple[int, ...]:
        return (length - 3,)

    def pair(self, passage: Passage) -> tuple[Segment, Segment, int]:
        text = longest_part(passage.tokens, passage.vocabulary.end_of_document)
        cut = int(passage.random.integers(1, len(text)))
        kind = int(passage.random.integers(2))
        return (text[cut:], text[:cut], 1) if kind else (text[:cut], text[cut:], 0)


def longest_part(text: Segment, end_of_document: int) -> Segment:
    """The longest part of `text` that is of one document, without ends of documents; all of it if that has fewer than two tokens."""
    import numpy as np

    ends = np.concatenate([[-1], np.flatnonzero(text == end_of_document), [len(text)]])
    which = int(np.diff(ends).argmax())
    found = text[ends[which] + 1 : ends[which + 1]]
    return found if len(found) > 1 else text
