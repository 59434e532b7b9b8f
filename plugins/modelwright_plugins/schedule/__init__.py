"""Schedules: the learning rate over a run."""

from __future__ import annotations

from abc import ABC, abstractmethod

from modelwright.component import Component


class Schedule(Component, ABC):
    """The learning rate over a run, as a factor of the optimizer's own."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor in [0, 1] for update `step` (the first is 1) of `steps`."""
