"""How far training has come in its data: what a checkpoint keeps beside weights and the optimizer's state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Ramp:
    """The batch grows from `first` by `increment` at a time to `full` sequences, evenly over the first `over` sequences trained on.

    As GPT-3's (Brown et al. 2020, appendix B), in Megatron-LM's steps (`--rampup-batch-size`).
    """

    full: int
    first: int = 0  # 0: the full size from the start
    increment: int = 1
    over: int = 0

    def size(self, trained: int) -> int:
        """Sequences of the next update, when `trained` have been trained on."""
        if not self.first or trained >= self.over:
            return self.full
        rises = (self.full - self.first) // self.increment
        return min(self.full, self.first + self.increment * (trained * rises // self.over))


@dataclass
class Position:
    """How far training has come in its data."""

    updates: int = 0
    drawn: int = 0  # sequences taken from the data: trained on, or skipped
    trained: int = 0  # sequences trained on
    losses: list[float] = field(default_factory=list)  # of the last updates, for finding spikes
    tokens: int = 0  # of replies trained on, which `drawn` doesn't tell: how long they are is known when they are there
    skipped: list[dict[str, Any]] = field(default_factory=list)  # {"step", "back_to", "first", "sequences", "why"} of each range

    @classmethod
    def after(cls, updates: int, ramp: Ramp) -> Position:
        """After so many updates, when nothing was skipped."""
        trained = 0
        for _ in range(updates):
            trained += ramp.size(trained)
        return cls(updates, trained, trained)

    @classmethod
    def of(cls, saved: dict[str, Any], ramp: Ramp) -> Position:
        """From what a checkpoint keeps; an older one keeps `updates` alone."""
        known = {field.name: saved[field.name] for field in fields(cls) if field.name in saved}
        return cls(**known) if "drawn" in known else cls.after(saved["updates"], ramp)

    def saved(self) -> dict[str, Any]:
        return asdict(self)

    def updated(self, sequences: int, loss: float, window: int) -> None:
        """One update more, on so many sequences."""
        self.updates += 1
        self.drawn += sequences
        self.trained += sequences
        self.losses = [*self.losses, loss][-window:] if window else []

    def skip_to(self, drawn: int, **why: Any) -> None:
        self.skipped.append({"first": self.drawn, "sequences": drawn - self.drawn, **why})
        self.drawn = drawn
