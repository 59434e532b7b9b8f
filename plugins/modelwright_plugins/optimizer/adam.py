"""Adam and AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1). Its weight decay is L2: added to the gradient, and so scaled as
    gradients are; `adamw` is what language models are trained with."""

    elementwise: ClassVar[bool] = True

    lr: float = 1e-3  # peak learning rate, a step
    betas: tuple[float, float] = (0.9, 0.999)  # decay of the mean of gradients and of their squares, a step
    epsilon: float = 1e-8  # added to the root of the second
    weight_decay: float = 0.0  # times the weight, added to the gradient; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "epsilon", "weight_decay")
        decays(self, "betas")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        groups = with_rates(groups, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.Adam(groups, betas=self.betas, eps=self.epsilon, fused=True)

    def state_bytes(self, role: str) -> int:
        return 8


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2)."""

    elementwise: ClassVar[bool] = True

    lr: float = 3e-3  # peak learning rate, a step; large models use 3e-4 and less
    betas: tuple[float, float] = (0.9, 0.95)  # decay of the mean of gradients and of their squares, a step
    epsilon: float = 1e-8  # added to the root of the second
    weight_decay: float = 0.1  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "epsilon", "weight_decay")
        decays(self, "betas")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        groups = with_rates(groups, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.AdamW(groups, betas=self.betas, eps=self.epsilon, fused=True)

    def state_bytes(self, role: str) -> int:
        return 8
