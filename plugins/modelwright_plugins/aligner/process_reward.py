"""Process reward models: how good each step of a reply is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ProcessReward(Aligner):
    """A process reward model: the log-odds that a step of a reply is right, read at its last token; the mean over steps.

    The model gives numbers in the place of tokens. The loss of a step with the label y is the binary cross-entropy
    -y log S(r) - (1 - y) log S(-r), S the logistic function (Math-Shepherd, Wang et al. 2023, arXiv:2312.08935, equation 2; Lightman et al.
    2023, arXiv:2305.20050). Labels are how likely a step is right, from 0 to 1 (what is beyond counts as these), or any numbers with a
    threshold.
    """

    examples: ClassVar[tuple[str, ...]] = ("steps",)
    head: ClassVar[Literal["tokens", "value", "both"]] = "value"

    threshold: float | None = None  # labels from here up are right, and others wrong: 0 for PRM800K's -1, 0 and 1; None: as they are

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        mask = inputs["loss_mask"]
        each = binary_cross_entropy_with_logits(output.float(), self._right(inputs), reduction="none")
        return torch.where(mask > 0, each, 0).sum(), mask.sum().to(torch.int)

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import STEPS

        return STEPS

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        mask = inputs["loss_mask"]
        agrees = (output > 0) == (self._right(inputs) > 0.5)
        return {"steps/accuracies": ((agrees * mask).sum(), mask.sum()), "rewards/mean": ((output * mask).sum(), mask.sum())}

    def _right(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """[rows, length] from 0 to 1."""
        labels = inputs["loss_labels"]
        return labels.clamp(0, 1) if self.threshold is None else (labels >= self.threshold).float()
