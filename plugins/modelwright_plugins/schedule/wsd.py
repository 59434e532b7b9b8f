"""Warm-up, stable, decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from modelwright_plugins.schedule.warmup import WarmUp


@dataclass(frozen=True, kw_only=True)
class WSD(WarmUp):
    """Warm-up, stable, decay: the peak until the last part of the run (Hu et al. 2024, arXiv:2404.06395, section 4.2).

    A run of another length can go on from a checkpoint of the stable part: only the decay depends on the number of steps.
    """

    decay: float = 0.1  # the last steps of the run, over which the rate goes down: steps if 1 or more, else the fraction of the run
    shape: Literal["linear", "cosine", "one_minus_sqrt"] = "linear"  # of the decay; one_minus_sqrt: Hägele et al. 2024, arXiv:2405.18392
    floor: float = 0.0  # fraction of the peak at the last step

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.decay >= 0:
            raise ValueError(f"decay is {self.decay}; it is a fraction of the run below 1, or a number of steps from 1 up")
        if self.shape not in ("linear", "cosine", "one_minus_sqrt"):
            raise ValueError(f"shape is {self.shape}; it is linear, cosine or one_minus_sqrt")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it is a fraction of the peak, from 0 to 1")

    def factor(self, step: int, steps: int) -> float:
        warmup = self.warmup_steps(steps)
        if step <= warmup:
            return step / warmup
        decay = min(round(self.decay * steps) if self.decay < 1 else int(self.decay), steps - warmup)
        if step <= steps - decay:
            return 1.0
        return self.floor + (1 - self.floor) * self.after((step - (steps - decay)) / decay)

    def after(self, done: float) -> float:
        if self.shape == "linear":
            return 1 - done
        return (1 + math.cos(math.pi * done)) / 2 if self.shape == "cosine" else 1 - math.sqrt(done)
