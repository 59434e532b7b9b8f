"""Places on a Ray cluster: every attempt at a task is a Ray task of its own, and what Ray says of a lost worker or node is why it failed.

datatrove's own Ray executor runs tasks in a process pool within an actor: when such a process is killed its task is lost without a word,
and a task that raises ends the run with "2/3 tasks completed" and no error."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.executor._tasks import GRACE, Failure, Places, Tasks, attempt, pack

STORE_BYTES = 100_000_000  # of shared memory, in a cluster of one's own: tasks exchange files
POLL = 1.0  # seconds


class OnRay(Places):
    """A connection to the cluster at `address`, or to one that begins and ends with it (`workers` × `cpus` cores of this machine)."""

    def __init__(self, tasks: Tasks, *, address: str | None, workers: int | None, cpus: float, memory: int | None) -> None:
        self.tasks, self.workers = tasks, workers
        self.grace = 0.0 if address is None else GRACE
        self.waiting: deque[int] = deque()
        self.running: dict[Any, int] = {}
        self.until_close = ExitStack()
        with ExitStack() as undo:
            undo.enter_context(_quiet(tasks.logs / "ray.log"))
            undo.enter_context(_cluster(address, workers, cpus))
            import ray

            self.ray, self.packed = ray, ray.put(pack(tasks))
            # 0: retries are counted, and told, by the process that leads
            wanted: dict[str, Any] = {"num_cpus": cpus, "max_retries": 0} | ({} if memory is None else {"memory": memory})
            self.attempt = ray.remote(**wanted)(attempt)
            self._check(cpus, memory, own=address is None)
            self.until_close = undo.pop_all()

    def submit(self, ranks: Sequence[int]) -> None:
        self.waiting.extendleft(reversed(ranks))

    def ended(self) -> Iterator[tuple[int, Failure | None]]:
        while self.waiting and len(self.running) < (self.workers or len(self.waiting) + len(self.running)):
            rank = self.waiting.popleft()
            self.running[self.attempt.remote(self.packed, rank)] = rank
        ready, _ = self.ray.wait(list(self.running), timeout=POLL)
        for reference in ready:
            rank = self.running.pop(reference)
            try:
                yield rank, self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                yield rank, Failure(lost(error))

    def close(self) -> None:
        self.waiting.clear()
        with self.until_close:
            for reference in self.running:
                with contextlib.suppress(Exception):  # the cluster may be gone
                    self.ray.cancel(reference, force=True)
            self.running = {}

    def _check(self, cpus: float, memory: int | None, *, own: bool) -> None:
        """Ray waits for ever for a node that has what a task asks for."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if any(node.get("CPU", 0) >= cpus and node.get("memory", 0) >= (memory or 0) for node in nodes):
            return
        asked = f"executor.cpus_per_task={cpus:g}" + ("" if memory is None else f" executor.memory_gb={memory / 1e9:g}")
        most = max((node.get("CPU", 0), node.get("memory", 0) / 1e9) for node in nodes) if nodes else (0, 0)
        line = f"{asked}: no node of the Ray cluster has as much (the largest has {most[0]:g} CPUs and {most[1]:.1f} GB)"
        if own:
            raise ModelwrightError(line, "executor.memory_gb")
        self.tasks.note(f"{line}; tasks wait until one joins")


def lost(error: Exception) -> str:
    """What Ray's error means, in some words of its own."""
    names = {
        "WorkerCrashedError": "its process was killed (is memory full?)",
        "OutOfMemoryError": "Ray killed it, because its node was short of memory",
        "NodeDiedError": "its node was lost",
        "LocalRayletDiedError": "its node was lost",
        "TaskUnschedulableError": "no node of the cluster can run it",
    }
    said = (str(error).splitlines() or [""])[0]
    return names.get(type(error).__name__, f"{type(error).__name__}: {said}")


@contextlib.contextmanager
def _cluster(address: str | None, workers: int | None, cpus: float) -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ModelwrightError("executor=ray needs Ray: in Modelwright's folder: pip install -e '.[ray]'") from None
    if ray.is_initialized():  # a sweep's job that runs on Ray, say
        yield
        return
    how: dict[str, Any] = {"address": address}
    if address is None:
        count = (workers or len(os.sched_getaffinity(0))) * cpus
        how = {"address": "local", "num_cpus": max(1, int(-(-count // 1))), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        ray.init(**how, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelwrightError(f"executor.address={address}: no Ray cluster can be reached there: {said}", "executor.address") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Ray's threads print what they hear of workers that died."""
    with log.open("a") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        yield
