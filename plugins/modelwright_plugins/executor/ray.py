"""A Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.executor import Executor

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


@dataclass(frozen=True, kw_only=True)
class Ray(Executor):
    """Tasks on a Ray cluster. Its nodes see the run's folder under the same path, and have the same packages."""

    tasks: int = 16  # shares of the input; what comes out does not depend on it
    address: str | None = None  # of the cluster, host:port, or auto for this machine's; null: one of its own, on this machine
    workers: int | None = None  # tasks at a time; null: as many as the cluster has room for
    cpus_per_task: float = 1.0  # cores that Ray sets aside for a task
    memory_gb: float | None = None  # memory that Ray sets aside for a task, 10⁹ bytes; null: it does not look
    retries: int = 1  # further attempts at a task that failed, or whose process or node was lost

    def __post_init__(self) -> None:
        if self.tasks < 1 or (self.workers is not None and self.workers < 1):
            raise ValueError(f"tasks and workers must be at least 1, got tasks={self.tasks} workers={self.workers}")
        if self.cpus_per_task <= 0 or (self.cpus_per_task > 1 and self.cpus_per_task % 1):
            raise ValueError(f"cpus_per_task is {self.cpus_per_task}; it is a whole number, or a part of one core")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise ValueError(f"memory_gb is {self.memory_gb}; it is more than 0")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}; it is 0 or more")

    def problems(self) -> list[str]:
        from importlib.util import find_spec

        return [] if find_spec("ray") else ["executor=ray needs Ray: in Modelwright's folder: pip install -e '.[ray]'"]

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        from modelwright_plugins.executor._ray import OnRay
        from modelwright_plugins.executor._tasks import Places, Tasks, run_tasks

        memory = None if self.memory_gb is None else int(self.memory_gb * 1e9)

        def places(all_tasks: Tasks) -> Places:
            return OnRay(all_tasks, address=self.address, workers=self.workers, cpus=self.cpus_per_task, memory=memory)

        run_tasks(steps, places, tasks=tasks, logs=logs, title=title, total=total, retries=self.retries)
