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
    locals: bool = False  # a failed task's log has the values of its variables, too

    def __post_init__(self) -> None:
        if self.tasks < 1:
            raise ValueError(f"tasks is {self.tasks}; it is 1 or more")

    def run(self, steps: Sequence[PipelineStep], *, tasks: int, logs: Path, title: str, total: int | None) -> None:
        import pickle
        import traceback
        from collections import deque
        from contextlib import redirect_stderr

        logs.mkdir(parents=True, exist_ok=True)
        packed = pickle.dumps(list(steps))
        for rank in range(tasks):
            log = logs / f"task_{rank:05d}.log"
            try:
                with log.open("w", encoding="utf-8") as out, redirect_stderr(out):
                    data = None
                    for step in pickle.loads(packed):  # each task has steps of its own
                        data = step(data, rank, tasks)
                    deque(data or (), maxlen=0)  # steps are generators: this makes them work
                    out.write("completed\n")
            except ModelwrightError:
                raise
            except Exception as error:
                told = traceback.TracebackException.from_exception(error, capture_locals=self.locals)
                log.write_text("".join(told.format()), encoding="utf-8")
                why = f"{type(error).__name__}: {error}"
                raise ModelwrightError(f"{title}: task {rank} of {tasks} failed: {why}; its log: {log}") from error
