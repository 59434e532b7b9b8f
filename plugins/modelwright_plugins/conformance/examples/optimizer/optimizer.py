"""Sign descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SignDescent(Optimizer):
    """Signum: steps along the sign of the gradients' mean (Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2)."""

    lr: float = 3e-4  # peak learning rate, a step: how far each weight moves
    momentum: float = 0.9  # decay of the mean of gradients, a step
    weight_decay: float = 0.1  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        if self.lr < 0:
            raise ValueError(f"lr is {self.lr}; it is 0 or more")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it is at least 0 and below 1")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.conformance.examples.optimizer._optimizer import Signum

        for group in groups:
            group |= {"lr": self.lr, "weight_decay": 0.0 if group["role"] == "vector" else self.weight_decay}
        return Signum(groups, {"momentum": self.momentum})

    def state_bytes(self, role: str) -> int:
        return 4  # one momentum in FP32
