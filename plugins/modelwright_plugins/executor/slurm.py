"""A Slurm cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.executor import Executor

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

TIMES = ("time", "time-min", "begin", "deadline")  # options of sbatch


@dataclass(frozen=True, kw_only=True)
class Slurm(Executor):
    """Tasks as jobs of a Slurm array. Its nodes see the run's folder, and this Python, under the same paths."""

    tasks: int = 16  # shares of the input; what comes out does not depend on it
    workers: int | None = None  # jobs at a time, those that wait in Slurm's queue too; null: all at once, and Slurm starts what it can
    partition: str | None = None  # null: the cluster's default, as for all that follow
    time: str | None = None  # limit of one task: hours:minutes:seconds or days-hours; in a YAML file in quotes: '1:30:00'
    cpus_per_task: int = 1  # cores of one task
    mem_per_cpu_gb: float | None = None  # memory for each core, GiB
    qos: str | None = None  # quality of service
    account: str | None = None  # that pays
    env_command: str | None = None  # shell command before a task's Python starts, such as `module load cuda`
    python: str | None = None  # of the nodes; null: the one that runs this
    sbatch: dict[str, str] = field(default_factory=dict)  # further options of sbatch, without their dashes; "": one without a value
    retries: int = 1  # further attempts at a task that failed, was cancelled, or ran out of time or memory

    def __post_init__(self) -> None:
        if self.tasks < 1 or (self.workers is not None and self.workers < 1) or self.cpus_per_task < 1:
            told = f"tasks={self.tasks} workers={self.workers} cpus_per_task={self.cpus_per_task}"
            raise ValueError(f"tasks, workers and cpus_per_task must be at least 1, got {told}")
        if self.mem_per_cpu_gb is not None and self.mem_per_cpu_gb <= 0:
            raise ValueError(f"mem_per_cpu_gb is {self.mem_per_cpu_gb}; it is more than 0")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}; it is 0 or more")
        times = {"time": self.time} | {f"sbatch.{key}": value for key, value in self.sbatch.items() if key in TIMES}
        for name, value in times.items():
            if value is not None and value.isdigit():
                unquoted = "without quotes, YAML reads 1:30:00 as 5400, to the base of 60"
                raise ValueError(f"{name} is {value}, a bare number; write '1:30:00', in quotes ({unquoted}), or 0:90:00 for 90 minutes")
        if ours := sorted({"array", "output", "parsable", "wait"} & {*self.sbatch}):
            raise ValueError(f"sbatch has {', '.join(ours)}; this executor sets it itself")

    def end_earlier(self, logs: Path) -> None:
        if (logs / "slurm").is_dir():
            from modelwright_plugins.executor._slurm import end_earlier

            end_earlier(logs / "slurm")

    def problems(self) -> list[str]:
        import subprocess
        from shutil import which

        if not which("sbatch"):
            return ["executor=slurm needs sbatch, which is not on this machine: start the run where Slurm's commands are"]
        try:
            asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [f"executor=slurm: Slurm does not answer: {error}"]
        said = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        return [f"executor=slurm: Slurm does not answer: {said}"] if asked.returncode else []

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        from modelwright_plugins.executor._slurm import Arrays
        from modelwright_plugins.executor._tasks import run_tasks

        run_tasks(
            steps, lambda executor: Arrays(executor, self), tasks=tasks, logs=logs, title=title, total=total, retries=self.retries
        )  # fmt: skip
