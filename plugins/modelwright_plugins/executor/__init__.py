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

        Steps are pickled to each attempt at a task: a task that fails is run again, with fresh steps, which write over what it had
        written. `logs` gets a log of each task, statistics and completion marks, and nothing is logged to the terminal; tasks that have
        their mark there, of an earlier call with the same steps, are not run again. `total` is about how many bytes of text will come out
        of the first step; None, when none will: no bar.
        ModelwrightError: a task failed again, or never completed; it and its log are named."""

    def end_earlier(self, logs: Path) -> None:
        """End what an earlier call with these `logs`, whose process was killed, has left running elsewhere, jobs of a cluster say. It
        comes back when nothing of it writes any more: what it wrote is then removed. `run` does so itself."""

    def problems(self) -> list[str]:
        """What is missing for it to run from here (a package, a program), one line each; `modelwright plan` tells it. No heavy imports."""
        return []
