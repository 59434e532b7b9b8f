"""Executors: where datatrove pipelines run, and on how many workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


class Executor(Component, ABC):
    """Where datatrove pipelines run: the input is cut into tasks, and workers take one task after another."""

    tasks: int = 16  # shares of the input; what comes out does not depend on it

    @abstractmethod
    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        """Run `steps` once for each of `tasks` ranks, with a progress bar, and come back when all have completed.

        Steps are pickled to each task. `logs` gets a log of each task, statistics and completion marks, and nothing is logged to the
        terminal. `total` is about how many bytes of text will come out of the first step; None, when none will: no bar.
        ModelwrightError: a task failed or never completed; it and its log are named."""
