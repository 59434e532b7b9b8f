"""Fill-in-the-middle: next-token prediction of documents whose middle comes last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage

PREFIX, MIDDLE, SUFFIX = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"


@dataclass(frozen=True, kw_only=True)
class FillInTheMiddle(Objective):
    """Next-token prediction of documents whose middle comes last (Bavarian et al. 2022, arXiv:2207.14255).

    With a chance of `rate` a document is cut in three at two random places and put together as PREFIX prefix SUFFIX suffix MIDDLE middle
    (PSM), or as PREFIX SUFFIX suffix MIDDLE prefix middle (SPM, the variant that the paper trains together with PSM); sections 3 and 4.

    Each document of a passage is rearranged on its own, after it was cut to the passage (the paper's context level): the three tokens take
    room, and what they push out at the end is cut off before the last document is rearranged, so that none is ever without its end.
    The places are between tokens: the paper prefers places between characters (section 4.4), which would want the text tokenised again.
    Every token is a target, those of prefix and suffix too, as in the paper.
    """

    architectures: ClassVar[tuple[str, ...]] = ("decoder", "prefix_decoder")

    rate: float = 0.5  # share of documents that are rearranged; the paper finds no harm up to 0.9
    spm: float = 0.5  # share of those that are in the order suffix, prefix, middle

    def __post_init__(self) -> None:
        for name in ("rate", "spm"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, from 0 to 1")

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return PREFIX, MIDDLE, SUFFIX

    def example(self, passage: Passage) -> Example:
        from modelwright_plugins.objective._middle import rearranged

        special = [passage.vocabulary.special[name] for name in (PREFIX, MIDDLE, SUFFIX)]
        end = passage.vocabulary.end_of_document
        text = rearranged(passage.tokens, end, special, rate=self.rate, spm=self.spm, random=passage.random)
        visible = seen(documents(text[:-1], end), causal=True)
        return {"input_ids": text[:-1], "position_ids": positions(visible), "attention_mask": visible, "labels": text[1:]}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
