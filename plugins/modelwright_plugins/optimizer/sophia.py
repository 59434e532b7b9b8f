"""Sophia."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sophia(Optimizer):
    """Sophia-G (Liu et al. 2023, arXiv:2305.14342, Algorithm 3) with the data's own labels in its estimate of the Hessian.

    The mean of gradients is divided by a clipped estimate of the diagonal of the Hessian, which is renewed every
    `hessian_every` steps. The paper's estimate (Gauss-Newton-Bartlett, Algorithm 2) is the number of tokens times the square
    of the gradient of a second backward pass, whose labels are sampled from the model. Here it is the same of the gradient
    that the step has anyway: the empirical Fisher. No second pass; but it is no unbiased estimate of the Gauss-Newton
    matrix, least of all early, when data and model differ most and when the mean gradient is larger than its noise. What
    the paper measured is not promised for it. If gradients are clipped, the clipped gradient is squared.
    """

    elementwise: ClassVar[bool] = True

    lr: float = 6e-4  # peak learning rate, a step; no element moves by more
    betas: tuple[float, float] = (0.965, 0.99)  # decay of the mean of gradients, a step, and of the Hessian's, an estimate
    gamma: float = 0.05  # part of the Hessian that divides: the larger, the more elements are not clipped (the paper: 10 to 50 %)
    hessian_every: int = 10  # steps from one estimate of the Hessian to the next
    epsilon: float = 1e-12  # least divisor
    weight_decay: float = 0.2  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "gamma", "weight_decay")
        decays(self, "betas")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is {self.epsilon}; it is above 0")
        if self.hessian_every < 1:
            raise ValueError(f"hessian_every is {self.hessian_every}; it is 1 or more")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.optimizer._sophia import ClippedNewton

        return ClippedNewton(
            with_rates(groups, lr=self.lr, weight_decay=self.weight_decay),
            betas=self.betas,
            gamma=self.gamma,
            hessian_every=self.hessian_every,
            epsilon=self.epsilon,
        )

    def state_bytes(self, role: str) -> int:
        return 8
