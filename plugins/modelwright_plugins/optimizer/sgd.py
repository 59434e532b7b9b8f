"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, maybe Nesterov's (Sutskever et al. 2013).

    As torch has it: the momentum is a sum of gradients, without the rate; weight decay is L2, added to the gradient.
    """

    elementwise: ClassVar[bool] = True

    lr: float = 0.1  # peak learning rate, a step
    momentum: float = 0.9  # decay of the sum of gradients, a step; 0: none is kept
    nesterov: bool = False  # look ahead by one step of momentum
    weight_decay: float = 0.0  # times the weight, added to the gradient; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "weight_decay")
        decays(self, "momentum")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is true and momentum is 0; Nesterov's look-ahead is by a momentum")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        groups = with_rates(groups, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)

    def state_bytes(self, role: str) -> int:
        return 4 if self.momentum else 0
