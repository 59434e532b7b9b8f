"""Schedules that warm up, then go down to a floor."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from modelwright_plugins.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class WarmUp(Schedule):
    """Linear warm-up to the peak, then what `after` says."""

    warmup: float = 0.03  # steps if 1 or more, else the fraction of the run

    def __post_init__(self) -> None:
        if not self.warmup >= 0:
            raise ValueError(f"warmup is {self.warmup}; it is a fraction of the run below 1, or a number of steps from 1 up")

    def warmup_steps(self, steps: int) -> int:
        return round(self.warmup * steps) if self.warmup < 1 else int(self.warmup)

    def factor(self, step: int, steps: int) -> float:
        warmup = self.warmup_steps(steps)
        if step <= warmup:
            return step / warmup
        return self.after(min(1.0, (step - warmup) / max(1, steps - warmup)))

    @abstractmethod
    def after(self, done: float) -> float:
        """The factor when the fraction `done` of what follows warm-up is done."""


@dataclass(frozen=True, kw_only=True)
class Cosine(WarmUp):
    """Linear warm-up, then half a cosine down to a floor (Loshchilov and Hutter 2017, equation 5, without restarts)."""

    floor: float = 0.1  # fraction of the peak at the last step

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it is a fraction of the peak, from 0 to 1")

    def after(self, done: float) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, kw_only=True)
class Linear(WarmUp):
    """Linear warm-up, then a straight line down to a floor (Defazio et al. 2023, arXiv:2310.07831)."""

    floor: float = 0.0  # fraction of the peak at the last step

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it is a fraction of the peak, from 0 to 1")

    def after(self, done: float) -> float:
        return 1 - (1 - self.floor) * done


@dataclass(frozen=True, kw_only=True)
class Constant(WarmUp):
    """Linear warm-up, then the peak to the end."""

    def after(self, done: float) -> float:
        return 1.0
