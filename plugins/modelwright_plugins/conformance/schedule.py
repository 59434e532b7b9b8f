"""What a schedule promises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import hold, promised

RUNS = (1, 2, 3, 10, 1_000, 100_000)  # steps


@dataclass(frozen=True, kw_only=True)
class Schedules(Conformance):
    """A schedule: a factor in [0, 1] for every update of runs of any length, and a pure function of the two numbers."""

    example = "modelwright_plugins.conformance.examples.schedule"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "factor(step, steps) is a finite number from 0 to 1 for step 1, 2, … steps"):
            for steps in RUNS:
                for step in _sampled(steps):
                    factor = component.factor(step, steps)
                    hold(isinstance(factor, int | float) and math.isfinite(factor), f"factor({step}, {steps}) is {factor!r}")
                    hold(0 <= factor <= 1, f"factor({step}, {steps}) is {factor}")
        with promised(component, "the learning rate is not 0 all through a run"):
            for steps in RUNS[1:]:  # a run of one step may end at a floor of 0
                hold(any(component.factor(step, steps) > 0 for step in _sampled(steps)), f"it is, in a run of {steps} steps")
        with promised(component, "factor depends on its two arguments only"):
            there = [component.factor(step, 1_000) for step in _sampled(1_000)]
            back = [component.factor(step, 1_000) for step in reversed(_sampled(1_000))][::-1]
            hold(there == back, "asked for the same steps the other way round, it gave other factors")


def _sampled(steps: int) -> list[int]:
    return list(range(1, steps + 1)) if steps <= 1_000 else [1, 2, *range(3, steps, 97), steps - 1, steps]
