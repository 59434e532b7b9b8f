"""Spikes of the gradient's norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelwright_plugins.stability import Stability


@dataclass(frozen=True, kw_only=True)
class LargeGradient(Stability):
    """A gradient with too large a norm is a spike."""

    largest: float = 100.0  # norm of the gradient, before clipping
    rollbacks: int = 3  # spikes after which training goes back and on; the next one ends it

    def __post_init__(self) -> None:
        if self.largest <= 0:
            raise ValueError(f"largest is {self.largest}; it is above 0")

    def spike(self, losses: Sequence[float], loss: float, grad_norm: float) -> str | None:
        if math.isfinite(loss) and grad_norm <= self.largest:  # a norm that is not a number is not below anything
            return None
        return f"the loss is {loss:.4g} and the gradient's norm {grad_norm:.4g}"
