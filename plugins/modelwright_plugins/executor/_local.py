"""datatrove's local executor, with workers whose death is noticed, logs in files, and a progress bar."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger

from modelwright.errors import ModelwrightError, disk_error
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from datatrove.data import Document


class Meter(PipelineStep):
    """Counts bytes of text that pass, for the progress bar: eight bytes at place `rank` of a file that the parent reads."""

    type, name = "METER", "bytes"

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        count, last = 0, 0.0
        with self.file.open("r+b", buffering=0) as out:
            for document in data or ():
                yield document
                count += len(document.text.encode("utf-8", "surrogatepass"))
                if (now := time.monotonic()) - last > 0.25:
                    last = now
                    os.pwrite(out.fileno(), count.to_bytes(8, "little"), 8 * rank)
            os.pwrite(out.fileno(), count.to_bytes(8, "little"), 8 * rank)

    def read(self) -> int:
        raw = self.file.read_bytes()
        return sum(int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8))


class LocalTasks(LocalPipelineExecutor):
    """datatrove's local executor on a `ProcessPoolExecutor`: multiprocessing's pool waits for ever when a worker is killed."""

    def task(self, rank: int) -> PipelineStats:
        with Path(self.logging_dir.path, "stderr.log").open("a", buffering=1) as log, contextlib.redirect_stderr(log):
            try:  # local_rank 1: only errors go to standard error, which here is a file
                return self._run_for_rank(rank, local_rank=1)
            finally:
                logger.remove()  # datatrove sets loguru to what standard error was

    def run(self) -> None:
        failed: dict[int, BaseException] = {}
        stats = PipelineStats()
        if self.workers == 1:
            for rank in range(self.tasks):
                try:
                    stats += self.fresh().task(rank)
                except Exception as error:
                    failed[rank] = error
                    break
        else:
            if multiprocessing.get_start_method() == "loky":  # joblib's workers: processes that they start don't know this method
                multiprocessing.set_start_method("forkserver", force=True)
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__, *{type(step).__module__ for step in self.pipeline}])
            with ProcessPoolExecutor(self.workers, mp_context=context) as pool:
                ranks = {pool.submit(self.task, rank): rank for rank in range(self.tasks)}
                try:
                    for future in as_completed(ranks):
                        if (problem := future.exception()) is not None:
                            failed[ranks[future]] = problem
                            break
                        stats += future.result()
                finally:
                    pool.shutdown(wait=False, cancel_futures=True)
        with self.logging_dir.open("stats.json", "wt") as file:
            stats.save_to_disk(file)
        self.check(failed)

    def fresh(self) -> LocalTasks:
        """For a task in this process: steps that no other task has used."""
        return copy.deepcopy(self)

    def check(self, failed: dict[int, BaseException]) -> None:
        """ModelwrightError unless every task has left its completion mark."""
        missing = self.get_incomplete_ranks(skip_completed=True)
        if not missing:
            return
        rank = min(failed, default=missing[0])
        error = failed.get(rank)
        if error is not None and (isinstance(error, ModelwrightError) or disk_error(error)):
            raise error
        if isinstance(error, BrokenProcessPool):
            why = f"a worker process was killed (is memory full?); {len(missing)} of {self.tasks} tasks are not done"
            raise ModelwrightError(f"{why}; logs: {self.logging_dir.path}/logs")
        why = f"{type(error).__name__}: {error}".splitlines()[0] if error else "it left no completion mark"
        log = f"{self.logging_dir.path}/logs/task_{rank:05d}.log"
        raise ModelwrightError(f"task {rank} of {self.tasks} failed: {why}; its log: {log}") from error


def run_local(steps: list[PipelineStep], *, tasks: int, workers: int, logs: Path, title: str, total: int | None) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    meter = Meter(logs / "bytes.bin")
    meter.file.write_bytes(bytes(8 * tasks))
    logger.remove()
    log = logger.add(logs / "executor.log", level="DEBUG")
    executor = LocalTasks([steps[0], meter, *steps[1:]], tasks=tasks, workers=workers, logging_dir=str(logs), skip_completed=False)
    try:
        with contextlib.nullcontext() if total is None else shown(meter, title, total):
            executor.run()
    finally:
        with contextlib.suppress(ValueError):  # a task in this process has removed it
            logger.remove(log)


@contextlib.contextmanager
def shown(meter: Meter, title: str, total: int) -> Iterator[None]:
    """A bar that follows `meter` from a thread."""
    over = threading.Event()
    with progress(title, total, "B") as bar:

        def watch() -> None:
            while not over.wait(0.3):
                bar.update(meter.read() - bar.n)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            bar.total = max(meter.read(), 1)  # `total` was an estimate
        finally:
            over.set()
            watcher.join()
            bar.update(meter.read() - bar.n)
