"""What all executors share: a task that says how it ended, and the loop that leads every task to its end or names the one that failed."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datatrove.executor.base import DistributedEnvVars, PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger

from modelwright.errors import ModelwrightError, disk_error
from modelwright_plugins.executor._meter import Meter, shown


@dataclass(frozen=True)
class Failure:
    """Why an attempt at a task failed."""

    why: str  # one line
    final: bool = False  # a further attempt would fail alike, and `why` is all that there is to say
    key: str | None = None  # of the config, as in ModelwrightError
    guessed: bool = False  # nothing says that it failed, but that there is no mark

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        ours = error if isinstance(error, ModelwrightError) else disk_error(error)
        if ours is not None:
            return cls(str(ours), True, ours.key)
        return cls((f"{type(error).__name__}: {error}".splitlines() or [""])[0])


LOOK = 0.5  # seconds between two looks for a mark
GRACE = 20.0  # seconds until a mark that another machine has written is seen here, over a network's file system


class Places(ABC):
    """Where tasks run. `Tasks.run` hands ranks in, and asks how they ended."""

    grace: float = 0.0  # seconds that the mark of a task may come to be seen after its end

    @abstractmethod
    def submit(self, ranks: Sequence[int]) -> None:
        """Run these tasks, once each, before any that wait."""

    @abstractmethod
    def ended(self) -> Iterable[tuple[int, Failure | None]]:
        """The tasks that have ended, each once and with what it failed for, if that is known. It waits for some of them for a while."""

    @abstractmethod
    def close(self) -> None:
        """End whatever still runs."""


class Tasks(PipelineExecutor):
    """datatrove's executor of one pipeline in shares: logs in files, and a mark in logs/completions for each task that has completed."""

    def __init__(self, steps: Sequence[PipelineStep], tasks: int, logs: Path) -> None:
        super().__init__(list(steps), logging_dir=str(logs), skip_completed=True)
        self.tasks, self.logs = tasks, logs

    @property
    def world_size(self) -> int:
        return self.tasks

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        """datatrove's inference steps read these; every task is on one node."""
        return DistributedEnvVars(
            datatrove_node_ips="localhost",
            datatrove_cpus_per_task="-1",
            datatrove_mem_per_cpu="-1",
            datatrove_gpus_on_node="-1",
            datatrove_executor="LOCAL",
        )

    def attempt(self, rank: int) -> Failure | None:
        """Run a task in this process, with these very steps; None: nothing was raised."""
        try:
            with (self.logs / "stderr.log").open("a", buffering=1) as log, contextlib.redirect_stderr(log):
                try:
                    self._keep_log(rank)
                    self._run_for_rank(rank, local_rank=1)  # 1: only errors go to standard error, which here is a file
                finally:
                    logger.remove()  # datatrove sets loguru to what standard error was
        except (Exception, SystemExit) as error:
            return Failure.of(error)
        return None

    def mark_rank_as_completed(self, rank: int) -> None:
        """A mark outlives a power cut, so that what it stands for has to."""
        folder = os.open(self.logs, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(folder):
                os.sync()
        except AttributeError:  # not Linux
            os.sync()
        finally:
            os.close(folder)
        super().mark_rank_as_completed(rank)

    def log(self, rank: int) -> Path:
        return self.logs / "logs" / f"task_{rank:05d}.log"

    def note(self, line: str) -> None:
        note(self.logs, line)

    def _keep_log(self, rank: int) -> None:
        """The log of an earlier attempt, which datatrove would write over."""
        log, number = self.log(rank), 1
        if log.exists() and not self.is_rank_completed(rank):
            while (kept := log.with_name(f"{log.stem}_attempt_{number}.log")).exists():
                number += 1
            log.rename(kept)

    def run(self, places: Places, retries: int) -> None:
        """Come back when every task has left its mark, those of an earlier run included. ModelwrightError: one failed once more than
        `retries`, or for good."""
        failed: Counter[int] = Counter()
        left = set(self.get_incomplete_ranks())
        self.note(f"{len(left)} of {self.tasks} tasks are to be run")
        places.submit(sorted(left))
        while left:
            found = [(rank, failure or Failure("it ended without a completion mark", guessed=True)) for rank, failure in places.ended()]
            self._await_marks([rank for rank, failure in found if failure.guessed], places.grace)
            for rank, failure in found:
                if self.is_rank_completed(rank):
                    left.discard(rank)
                    continue
                failed[rank] += 1
                self.note(f"task {rank} failed, attempt {failed[rank]}: {failure.why}")
                if failure.final:
                    raise ModelwrightError(failure.why, failure.key)
                if failed[rank] > retries:
                    tried = f" (tried {failed[rank]} times)" if retries else ""
                    raise ModelwrightError(f"task {rank} of {self.tasks} failed: {failure.why}{tried}; its log: {self.log(rank)}")
                places.submit([rank])

    def _await_marks(self, ranks: Sequence[int], grace: float) -> None:
        """Come back when all of them have their marks, or after `grace` seconds."""
        until = time.monotonic() + grace
        while not all(map(self.is_rank_completed, ranks)) and time.monotonic() < until:
            time.sleep(min(LOOK, grace))

    def save_stats(self) -> None:
        parts = [json.loads(file.read_bytes()) for file in sorted((self.logs / "stats").glob("*.json"))]
        with self.logging_dir.open("stats.json", "wt") as file:
            sum((PipelineStats.from_json(part) for part in parts), start=PipelineStats()).save_to_disk(file)


def note(logs: Path, line: str) -> None:
    """A line in the log of the process that leads."""
    with (logs / "executor.log").open("a", encoding="utf-8") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def pack(tasks: Tasks) -> bytes:
    """For `attempt` in another process: with the folders that modules are imported from here."""
    return pickle.dumps(([str(Path(place).absolute()) for place in sys.path], pickle.dumps(tasks)))


def attempt(packed: bytes, rank: int) -> Failure | None:
    """Run a task with steps that no other attempt has used."""
    try:
        folders, inner = pickle.loads(packed)
        sys.path.extend(place for place in folders if place not in sys.path)
        tasks: Tasks = pickle.loads(inner)
    except Exception as error:
        return Failure.of(error)
    return tasks.attempt(rank)


def run_tasks(
    steps: Sequence[PipelineStep],
    places: Callable[[Tasks], Places],
    *,
    tasks: int,
    logs: Path,
    title: str,
    total: int | None,
    retries: int,
) -> None:
    """`Executor.run` with `places` to run at."""
    logs = logs.absolute()  # workers may be in other folders
    (logs / "bytes").mkdir(parents=True, exist_ok=True)
    meter = Meter(logs / "bytes")
    logger.remove()  # datatrove's, which would write to the terminal
    executor = Tasks([steps[0], meter, *steps[1:]], tasks, logs)
    with contextlib.nullcontext() if total is None else shown(meter, title, total):
        if executor.get_incomplete_ranks():  # or no cluster is needed
            with contextlib.closing(places(executor)) as there:
                executor.run(there, retries)
    executor.save_stats()
