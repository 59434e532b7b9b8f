"""What is not a number, and what is far above the losses before it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from modelwright_plugins.stability import Stability


@dataclass(frozen=True, kw_only=True)
class Finite(Stability):
    """A loss or a gradient that is no finite number ends training."""

    rollbacks: int = 0  # spikes after which training goes back and on; the next one ends it
    before: int = 100  # updates at least from the checkpoint that is gone back to, to the spike
    skip: int = 200  # batches skipped at least from that checkpoint on; always those up to the spike

    def __post_init__(self) -> None:
        for name in ("rollbacks", "before", "skip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")

    def spike(self, losses: Sequence[float], loss: float, grad_norm: float) -> str | None:
        if math.isfinite(loss) and math.isfinite(grad_norm):
            return None
        return f"the loss is {loss:.4g} and the gradient's norm {grad_norm:.4g}"


@dataclass(frozen=True, kw_only=True)
class ZScore(Finite):
    """A loss many standard deviations above those before it is a spike, too: go back, and skip its batches (PaLM)."""

    window: int = 100  # earlier losses that the mean and the deviation are of; before there are so many, only what isn't finite counts
    threshold: float = 6.0  # standard deviations above the mean
    rollbacks: int = 10  # spikes after which training goes back and on; the next one ends it

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 2 or self.threshold <= 0:
            raise ValueError(f"window is {self.window} and threshold {self.threshold}; they are 2 or more, and above 0")

    def spike(self, losses: Sequence[float], loss: float, grad_norm: float) -> str | None:
        if (found := super().spike(losses, loss, grad_norm)) or len(losses) < self.window:
            return found
        mean, deviation = statistics.fmean(losses), statistics.stdev(losses)
        if loss <= mean + self.threshold * deviation:
            return None
        return f"the loss is {loss:.4g}, {(loss - mean) / deviation if deviation else math.inf:.1f} deviations above the mean {mean:.4g}"
