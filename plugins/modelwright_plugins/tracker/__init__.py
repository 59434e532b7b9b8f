"""Trackers: where metrics go while a run trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.component import Component


class Tracker(Component, ABC):
    """Where metrics go while a run trains. `open` is called on one rank; an error in a tracker warns and never ends a run."""

    @abstractmethod
    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        """Start, or go on after `step` (0 at the start; entries after it, from a run that was killed, are dropped)."""


class TrackerLog(ABC):
    """An open tracker."""

    @abstractmethod
    def log(self, metrics: Mapping[str, float]) -> None:
        """One step's numbers, `step` among them."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""
