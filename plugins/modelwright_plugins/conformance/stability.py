"""What a way to deal with loss spikes promises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import hold, promised

FALLING = [6 * 0.99**n + 0.1 * math.sin(n) for n in range(400)]  # a loss as it should be


@dataclass(frozen=True, kw_only=True)
class Stabilities(Conformance):
    """A way to find spikes: what is not finite is always one, a loss that falls never is, and it keeps nothing to itself."""

    example = "modelwright_plugins.conformance.examples.stability"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "window, rollbacks, before and skip are numbers from 0 up"):
            for name in ("window", "rollbacks", "before", "skip"):
                hold(isinstance(value := getattr(component, name), int) and value >= 0, f"{name} is {value!r}")
        with promised(component, "a loss or a gradient that is not finite is a spike, with or without losses before it"):
            for before in ([], self.history(component, 200)):
                for loss, norm in ((math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan), (2.0, math.inf)):
                    why = component.spike(before, loss, norm)
                    hold(isinstance(why, str) and why and "\n" not in why, f"of loss {loss} and norm {norm} it says {why!r}")
        with promised(component, "a loss that falls as it should is none"):
            for n in range(len(FALLING)):
                why = component.spike(self.history(component, n), FALLING[n], 1.0)
                hold(why is None, f"of loss {FALLING[n]:.4g} after {n} others it says {why!r}")
        with promised(component, "spike depends on its arguments only, so that a resumed run finds the same"):
            asked = [(self.history(component, n), loss) for n in (3, 200, 399) for loss in (0.5, 3.0, 50.0)]
            there = [component.spike(*each, 1.0) for each in asked]
            back = [component.spike(*each, 1.0) for each in reversed(asked)][::-1]
            hold(there == back, "asked the other way round, it found others")

    @staticmethod
    def history(component: Any, n: int) -> list[float]:
        """What it is given before update `n`."""
        return FALLING[max(0, n - component.window) : n] if component.window else []
