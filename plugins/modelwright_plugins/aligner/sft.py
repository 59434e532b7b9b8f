"""Supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SFT(Aligner):
    """Supervised fine-tuning: cross-entropy of the assistant's tokens, in nats, the mean over those of the global batch.

    Which tokens are the assistant's was decided when the examples were prepared. Conversations in one sequence don't see each other.
    """

    examples: ClassVar[tuple[str, ...]] = ("conversation",)
    packs: ClassVar[bool] = True

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
