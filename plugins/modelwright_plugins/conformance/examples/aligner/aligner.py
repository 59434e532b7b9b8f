"""Preferences as a hinge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SLiC(Aligner):
    """Sequence likelihood calibration: max(0, margin - log p(chosen) + log p(rejected)) (Zhao et al. 2023, arXiv:2305.10425)."""

    examples: ClassVar[tuple[str, ...]] = ("preference",)

    margin: float = 1.0  # nats by which the chosen reply is to be more likely

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise ValueError(f"margin is {self.margin}; it is 0 or more")

    def rows(self, replies: int) -> int:
        return 2  # the chosen reply, the rejected one

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        logps = -(output.float() * inputs["loss_mask"]).sum(-1)  # of each row; output is the loss of each token [rows, length]
        each = (self.margin - logps[0::2] + logps[1::2]).clamp(min=0)
        return each.sum(), torch.tensor(len(each), dtype=torch.int, device=each.device)
