"""Trackers: where metrics go while a run trains."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelwright.component import Component
from modelwright.errors import disk_error


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


@contextmanager
def forgiving(tracker: Tracker) -> Iterator[None]:
    """What a tracker raises inside becomes a warning; a full disk stays an error, since the run writes to it, too."""
    try:
        yield
    except Exception as e:
        if disk_error(e):
            raise
        warnings.warn(f"tracker {type(tracker).__name__} failed: {type(e).__name__}: {e}", stacklevel=3)
