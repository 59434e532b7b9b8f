"""Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Lion: the sign of a mean of gradients (Chen et al. 2023, arXiv:2302.06675, Algorithm 2).

    Every element moves by the learning rate, so it wants a rate 3 to 10 times smaller than AdamW's, and a weight decay as
    many times larger (section 5).
    """

    elementwise: ClassVar[bool] = True

    lr: float = 3e-4  # peak learning rate, a step
    betas: tuple[float, float] = (0.95, 0.98)  # weight of the mean in the update, and its decay, a step; the paper's for language
    weight_decay: float = 1.0  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "weight_decay")
        decays(self, "betas")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.optimizer._lion import SignOfMean

        return SignOfMean(with_rates(groups, lr=self.lr, weight_decay=self.weight_decay), betas=self.betas)

    def state_bytes(self, role: str) -> int:
        return 4
