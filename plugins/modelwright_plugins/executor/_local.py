"""Places on this machine: this process, or worker processes whose death is noticed, and costs only the task that it met."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from modelwright_plugins.executor._tasks import Failure, Places, Tasks, attempt, pack

PATIENCE = 5.0  # seconds that a worker has to end


class InProcess(Places):
    """One task after another, here."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self.waiting: deque[int] = deque()

    def submit(self, ranks: Sequence[int]) -> None:
        self.waiting.extendleft(reversed(ranks))

    def ended(self) -> list[tuple[int, Failure | None]]:
        rank = self.waiting.popleft()
        return [(rank, copy.deepcopy(self.tasks).attempt(rank))]  # steps that no other attempt has used

    def close(self) -> None:
        self.waiting.clear()


class Pool(Places):
    """Worker processes, each with one task at a time. multiprocessing's pool waits for ever when a worker is killed, and
    concurrent.futures' gives up all tasks that run."""

    def __init__(self, tasks: Tasks, workers: int) -> None:
        if multiprocessing.get_start_method() == "loky":  # joblib's workers: processes that they start don't know this method
            multiprocessing.set_start_method("forkserver", force=True)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__, *{type(step).__module__ for step in tasks.pipeline}])
        self.packed, self.errors, self.workers = pack(tasks), tasks.logs / "stderr.log", workers
        self.waiting: deque[int] = deque()
        self.idle: list[tuple[Connection, Any]] = []
        self.busy: dict[Connection, tuple[Any, int]] = {}  # its process, and its task

    def submit(self, ranks: Sequence[int]) -> None:
        self.waiting.extendleft(reversed(ranks))

    def ended(self) -> list[tuple[int, Failure | None]]:
        while self.waiting and len(self.busy) < self.workers:
            line, process = self.idle.pop() if self.idle else self._start()
            self.busy[line] = process, (rank := self.waiting.popleft())
            try:
                line.send(rank)
            except OSError:  # it was killed while it had no task
                self._drop(line)
                self.waiting.appendleft(rank)
        ready = connection.wait([*self.busy, *(process.sentinel for process, _ in self.busy.values())])
        found: list[tuple[int, Failure | None]] = []
        for line, (process, rank) in list(self.busy.items()):
            if line not in ready and process.sentinel not in ready:
                continue
            try:
                if not line.poll():
                    raise EOFError
                found.append((rank, line.recv()))
                self.idle.append((line, process))
                del self.busy[line]
            except (EOFError, OSError):
                found.append((rank, Failure(f"its process {self._drop(line)}")))
        return found

    def close(self) -> None:
        self.waiting.clear()
        every = [*self.idle, *((line, process) for line, (process, _) in self.busy.items())]
        for line, process in every:
            line.close()  # one that is idle ends
            if line in self.busy:
                process.terminate()
        for _, process in every:
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self.idle, self.busy = [], {}

    def _start(self) -> tuple[Connection, Any]:
        here, there = self.context.Pipe()
        process = self.context.Process(target=serve, args=(self.packed, there, self.errors))
        process.start()
        there.close()
        return here, process

    def _drop(self, line: Connection) -> str:
        """Forget a worker that has died: how it did."""
        process, _ = self.busy.pop(line)
        line.close()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
        return died(process.exitcode)


def died(code: int) -> str:
    """What an exit code of a process says."""
    if code != -signal.SIGKILL:
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return "was killed (is memory full?)"


def serve(packed: bytes, line: Connection, errors: Path) -> None:
    """A worker: takes a rank, sends back what the task failed for, and ends with the process that leads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with errors.open("a") as log:
        for stream in (1, 2):  # what libraries print by themselves, too
            os.dup2(log.fileno(), stream)
    while True:
        try:
            rank = line.recv()
        except (EOFError, OSError):
            return
        line.send(attempt(packed, rank))


def _end_with_parent() -> None:
    """A worker that outlived the process that leads would write into the files of the run that goes on in its place."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
