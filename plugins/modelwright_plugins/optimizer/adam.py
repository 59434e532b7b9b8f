"""Adam and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2)."""

    elementwise: ClassVar[bool] = True

    lr: float = 3e-3  # peak learning rate, a step; large models use 3e-4 and less
    betas: tuple[float, float] = (0.9, 0.95)  # decay of the mean of gradients and of their squares, a step
    epsilon: float = 1e-8  # added to the root of the second
    weight_decay: float = 0.1  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        for name in ("lr", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        for group in groups:
            group |= {"lr": self.lr, "weight_decay": 0.0 if group["role"] == "vector" else self.weight_decay}
        return torch.optim.AdamW(groups, betas=self.betas, eps=self.epsilon, fused=True)

    def state_bytes(self, role: str) -> int:
        return 8
