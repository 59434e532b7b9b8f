"""BART: sentences in another order, and spans behind masks, are to be told as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective import Objective

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage

MASK = "<mask>"


@dataclass(frozen=True, kw_only=True)
class BART(Objective):
    """Sentence permutation and text infilling (Lewis et al. 2019, arXiv:1910.13461, section 2.2; its model has both).

    The sentences of a document come in a random order; then spans of its tokens, with lengths drawn from a Poisson distribution until they
    make up `mask_rate` of the document (the last is cut to that), become one <mask> each, and a span of length 0 inserts one. Every way to
    place the spans is as likely as any other. The decoder's targets are the document as it was, closed by its end.

    A sentence ends, as in the paper, with a full stop: a token whose text ends with one, spaces apart. Without a tokenizer there are none.
    The documents of one passage are corrupted each on its own and don't see each other.
    """

    architectures: ClassVar[tuple[str, ...]] = ("encoder_decoder",)

    permute_sentences: bool = True  # sentences of a document in a random order
    infill: bool = True  # spans of tokens behind masks
    mask_rate: float = 0.3  # share of a document's tokens behind masks
    mean_span: float = 3.0  # mean of the Poisson distribution of a span's length, in tokens

    def __post_init__(self) -> None:
        if not (self.permute_sentences or self.infill):
            raise ValueError("permute_sentences is false and infill too; one of them is true")
        if not 0 < self.mask_rate < 1:
            raise ValueError(f"mask_rate is {self.mask_rate}; it is a share, above 0 and below 1")
        if not self.mean_span > 0:
            raise ValueError(f"mean_span is {self.mean_span}; it is above 0")

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (MASK,)

    def spans(self, length: int) -> tuple[int, ...]:
        return (length,)

    def example(self, passage: Passage) -> Example:
        from modelwright_plugins.objective._infilling import closed, infilled, permuted, whole
        from modelwright_plugins.objective._two_sides import encoder_decoder

        end, random, length = passage.vocabulary.end_of_document, passage.random, passage.length
        told = given = whole(passage.tokens, end, length)
        if self.permute_sentences:
            given = permuted(given, passage.vocabulary.pieces, random)
        if self.infill:
            given = infilled(given, passage.vocabulary.special[MASK], rate=self.mask_rate, mean=self.mean_span, random=random)
        return encoder_decoder(closed(given, end), closed(told, end), lengths=(length, length), end=end)

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
