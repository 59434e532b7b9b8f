"""This machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.executor import Executor

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


@dataclass(frozen=True, kw_only=True)
class Local(Executor):
    """Worker processes on this machine (datatrove's local executor)."""

    tasks: int = 16  # shares of the input; what comes out does not depend on it
    workers: int | None = None  # processes at a time; none: one for each core that this process may use
    retries: int = 1  # further attempts at a task that failed, or whose process was killed

    def __post_init__(self) -> None:
        if self.tasks < 1 or (self.workers is not None and self.workers < 1):
            raise ValueError(f"tasks and workers must be at least 1, got tasks={self.tasks} workers={self.workers}")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}; it is 0 or more")

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        import os

        from modelwright_plugins.executor._local import InProcess, Pool
        from modelwright_plugins.executor._tasks import Places, Tasks, run_tasks

        workers = min(self.workers or len(os.sched_getaffinity(0)), tasks)

        def places(all_tasks: Tasks) -> Places:
            return Pool(all_tasks, workers) if workers > 1 else InProcess(all_tasks)

        run_tasks(steps, places, tasks=tasks, logs=logs, title=title, total=total, retries=self.retries)
