"""This process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.api import ModelwrightError
from modelwright_plugins.executor import Executor

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


@dataclass(frozen=True, kw_only=True)
class InProcess(Executor):
    """One task after another in this process: breakpoints work, and so do profilers."""

    tasks: int = 4  # shares of the input; what comes out does not depend on it
    retries: int = 1  # further attempts at a task that failed
    locals: bool = False  # a failed task's log has the values of its variables, too

    def __post_init__(self) -> None:
        if self.tasks < 1:
            raise ValueError(f"tasks is {self.tasks}; it is 1 or more")

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        import pickle

        logs.mkdir(parents=True, exist_ok=True)
        packed = pickle.dumps(list(steps))  # each attempt has steps of its own
        for rank in range(tasks):
            if (mark := logs / f"task_{rank:05d}.completed").exists():
                continue
            log = logs / f"task_{rank:05d}.log"
            for attempt in range(self.retries + 1):
                why = self._attempt(pickle.loads(packed), rank, tasks, log)
                if why is None:
                    mark.touch()
                    break
                if attempt == self.retries:
                    raise ModelwrightError(f"{title}: task {rank} of {tasks} failed: {why}; its log: {log}")

    def _attempt(self, steps: Sequence[PipelineStep], rank: int, tasks: int, log: Path) -> str | None:
        """Run one task; None, or what it failed for."""
        import traceback
        from collections import deque
        from concurrent.futures import ThreadPoolExecutor
        from contextlib import redirect_stderr

        def work() -> None:
            with log.open("w", encoding="utf-8") as out, redirect_stderr(out):
                data = None
                for step in steps:
                    data = step(data, rank, tasks)
                deque(data or (), maxlen=0)  # steps are generators: this makes them work

        with ThreadPoolExecutor(1) as thread:
            error = thread.submit(work).exception()
        if error is None:
            return None
        if isinstance(error, ModelwrightError):
            raise error  # it would fail again
        told = traceback.TracebackException.from_exception(error, capture_locals=self.locals)
        log.write_text("".join(told.format()), encoding="utf-8")
        return f"{type(error).__name__}: {error}"
