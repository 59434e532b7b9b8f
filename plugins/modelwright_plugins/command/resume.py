"""`modelwright resume`: go on with a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelwright import launch
from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.run import resume
from modelwright_plugins.command.farewell import farewell
from modelwright_plugins.pipeline.phases import RECORD as PIPELINE
from modelwright_plugins.preemption import notice
from modelwright_plugins.sweep import record


@dataclass(frozen=True, kw_only=True)
class Resume(Command):
    """Go on with a run, a sweep or a pipeline that was stopped: modelwright resume runs/…

    Of a sweep, jobs that finished or were pruned are left as they are; those that failed are tried again (Optuna's are not).
    """

    def run(self, arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise ModelwrightError("resume which run? modelwright resume runs/…")
        notice()
        folder = Path(arguments[0])
        if (folder / record.RECORD).exists():
            return _sweep(folder.absolute())
        if (folder / PIPELINE).exists():
            from modelwright_plugins.pipeline import commands

            return commands.resume(folder)
        launch.lead(lambda: farewell(resume(folder), folder))
        return 0


def _sweep(folder: Path) -> int:
    from modelwright_plugins.command.run import run_sweep

    words, cwd = record.words_again(folder), record.read(folder).get("cwd")
    if isinstance(cwd, str) and Path(cwd).is_dir():
        os.chdir(cwd)  # what its words name, they name from there
    return run_sweep([*words, f"run.dir='{folder}'"], folder)
