"""Masked spans, and their tokens from those beside them: SpanBERT's objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.objective.masked_lm import Masking
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class SpanBoundary(Masking):
    """SpanBERT's objective: masked LM of spans, and each from the two tokens beside it (Joshi et al. 2019, arXiv:1907.10529).

    Spans of whole words, whose number is drawn from a geometric distribution, are masked until 15 % of the tokens are targets (section
    3.1); a span is masked, replaced or left as one. The loss is the sum of both heads' means over targets, in nats (section 3.2). A span
    at the edge of its document has no token on one side, and is told by the first head alone; documents of one sequence don't see each
    other.
    """

    neutral: ClassVar[Mapping[str, int]] = {"boundaries": 0}

    whole_word: bool = True  # spans are of whole words, which begin with a space; false: of tokens
    success: float = 0.2  # p of the geometric distribution of a span's length in words
    longest: int = 10  # words of a span; the distribution is of lengths up to that, whose mean is 3.8
    boundary_targets: int = 20  # tokens of a span, its first ones, that are told from its boundaries; architecture.span_head is as many

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.success < 1:
            raise ValueError(f"success is {self.success}; it is above 0 and below 1")
        for name in ("longest", "boundary_targets"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")

    @property
    def needs(self) -> dict[str, Any]:
        return {"span_head": self.boundary_targets}

    def example(self, passage: Passage) -> Example:
        import numpy as np

        from modelwright_plugins.objective._masking import word_numbers
        from modelwright_plugins.objective._spans import edges, spanned

        text, vocabulary = passage.tokens, passage.vocabulary
        place = np.arange(len(text))
        eligible = ~np.isin(text, [vocabulary.end_of_document, *vocabulary.special.values()])
        words = word_numbers(text, vocabulary.pieces) if self.whole_word else place
        targets = spanned(eligible, words, self.rate, success=self.success, longest=self.longest, random=passage.random)
        beside = edges(targets)
        given = self.hidden(text, targets, passage, spans=np.where(targets, beside[:, 0] + 1, 0))
        visible = seen(documents(text, vocabulary.end_of_document), causal=False)
        between = (beside[:, 0] >= visible[:, 0]) & (beside[:, 1] < visible[:, 1])
        told = targets & between & (place - beside[:, 0] <= self.boundary_targets)
        return {
            "input_ids": given,
            "position_ids": positions(visible),
            "attention_mask": visible,
            "labels": np.stack([np.where(which, text, -1) for which in (targets, told)], 1),
            "boundaries": np.where(told[:, None], beside, 0),
        }

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        (one, count), (other, _) = (sum_over_targets(output[..., head], inputs["labels"][..., head]) for head in (0, 1))
        return one + other, count
