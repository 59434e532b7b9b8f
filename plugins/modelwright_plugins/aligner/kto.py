"""Kahneman-Tversky optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class KTO(Aligner):
    """Kahneman-Tversky optimisation of thumbs up and down (Ethayarajh et al. 2024, arXiv:2402.01306), the mean over replies.

    With r a reply's log-ratio to the first weights, z the mean log-ratio of mismatched replies of the global batch (each prompt with
    another's reply), not below 0 and without a gradient, and S the logistic function, the loss of a reply is (equation 8)
    desirable_weight x (1 - S(beta (r - z))) of a thumb up, and undesirable_weight x (1 - S(beta (z - r))) of one down.
    """

    examples: ClassVar[tuple[str, ...]] = ("unpaired",)

    beta: float = 0.1  # how strongly it is held to the first weights
    desirable_weight: float = 1.0  # of thumbs up; the paper has it times their number be 1 to 4/3 of the same of thumbs down
    undesirable_weight: float = 1.0  # of thumbs down

    def __post_init__(self) -> None:
        for name in ("beta", "desirable_weight", "undesirable_weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")

    @property
    def needs_reference(self) -> bool:
        return True

    @property
    def mismatched(self) -> bool:
        return True

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import UNPAIRED

        return UNPAIRED

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        from modelwright_plugins.aligner._rows import examples, summed

        ratios = summed(output, inputs)[0] - inputs["loss_reference"]
        up = inputs["loss_scores"] > 0.5
        gain = self.beta * (ratios - inputs["loss_divergence"])
        return examples(
            torch.where(up, self.desirable_weight * (1 - torch.sigmoid(gain)), self.undesirable_weight * (1 - torch.sigmoid(-gain)))
        )

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._rows import examples, summed

        rewards = self.beta * (summed(output, inputs)[0] - inputs["loss_reference"])
        up = inputs["loss_scores"] > 0.5
        told = {"rewards/chosen": rewards[up], "rewards/rejected": rewards[~up], "divergence": inputs["loss_divergence"]}
        return {name: examples(values) for name, values in told.items()}
