"""Adafactor."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Adafactor(Optimizer):
    """Adafactor without momentum (Shazeer and Stern 2018, arXiv:1804.04235, Algorithms 4 and 5).

    Of a matrix's squared gradients only the means of its rows and columns are kept; an update whose root mean square is
    above `clip` is scaled down to it. Means are of the whole matrix where tensor parallelism splits it. The paper's
    min(1e-2, 1 / sqrt(step)) is this `lr` with schedule=inverse_sqrt_t5.
    """

    elementwise: ClassVar[bool] = False

    lr: float = 1e-2  # peak learning rate, a step: of each parameter's own size if `relative`
    relative: bool = True  # the step is lr times the root mean square of the parameter (section 8)
    least_scale: float = 1e-3  # a smaller root mean square counts as this (epsilon 2), so that what starts at 0 can leave it
    decay: float = 0.8  # at step t the means of squares decay by 1 - t^-decay (section 7.2)
    clip: float = 1.0  # largest root mean square of an update, before it is multiplied by the rate (section 6)
    epsilon: float = 1e-30  # added to squared gradients (epsilon 1)
    weight_decay: float = 0.0  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "least_scale", "weight_decay")
        for name in ("decay", "clip", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.optimizer._adafactor import FactoredSquares

        return FactoredSquares(
            with_rates(groups, lr=self.lr, weight_decay=self.weight_decay),
            relative=self.relative,
            least_scale=self.least_scale,
            decay=self.decay,
            clip=self.clip,
            epsilon=self.epsilon,
        )

    def state_bytes(self, role: str) -> int:
        return 4 if role == "vector" else 0

    def matrix_bytes(self, role: str, shape: tuple[int, ...]) -> int:
        return 0 if role == "vector" else 4 * (shape[0] + prod(shape[1:]))
