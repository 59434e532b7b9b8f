"""A learning rate that goes down in steps."""

from __future__ import annotations

from dataclasses import dataclass

from modelwright_plugins.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """The peak at first, then less by the same factor at each of a few moments (He et al. 2016, section 3.4)."""

    at: tuple[float, ...] = (0.5, 0.75)  # moments, as fractions of the run
    gamma: float = 0.1  # the factor by which it falls at each

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma is {self.gamma}; it is from 0 to 1")

    def factor(self, step: int, steps: int) -> float:
        done = (step - 1) / steps  # before this update
        return float(self.gamma ** sum(done >= moment for moment in self.at))
