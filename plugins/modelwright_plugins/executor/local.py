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

    def __post_init__(self) -> None:
        if self.tasks < 1 or (self.workers is not None and self.workers < 1):
            raise ValueError(f"tasks and workers must be at least 1, got tasks={self.tasks} workers={self.workers}")

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        import os

        from modelwright_plugins.executor._local import run_local

        workers = min(self.workers or len(os.sched_getaffinity(0)), tasks)
        run_local(list(steps), tasks=tasks, workers=workers, logs=logs, title=title, total=total)
