"""The inverse square root of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelwright_plugins.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class InverseSqrt(Schedule):
    """The peak, then down with the inverse square root of the step (Vaswani et al. 2017, arXiv:1706.03762, equation 3).

    As there, sqrt(warmup / step) after a linear warm-up; T5 has the peak from the first step to the last of the warm-up
    instead (Raffel et al. 2020, section 3.1.2: 1 / sqrt(max(step, 10,000)), whose peak is an lr of 0.01). It does not
    depend on the length of the run.
    """

    warmup: int = 4_000  # steps, of which the last has the peak
    flat: bool = False  # the warm-up is at the peak, as T5's, and not linear from 0

    def __post_init__(self) -> None:
        if self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a number of steps from 1 up")

    def factor(self, step: int, steps: int) -> float:
        if step > self.warmup:
            return math.sqrt(self.warmup / step)
        return 1.0 if self.flat else step / self.warmup
