"""`modelwright resume`: go on with a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelwright import launch
from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.run import resume
from modelwright_plugins.command.begun import begun_with, changed
from modelwright_plugins.command.farewell import farewell
from modelwright_plugins.pipeline.phases import RECORD as PIPELINE
from modelwright_plugins.preemption import notice
from modelwright_plugins.sweep import record
from modelwright_plugins.terminal import typed


@dataclass(frozen=True, kw_only=True)
class Resume(Command):
    """Go on with a run, a sweep or a pipeline that was stopped: modelwright resume runs/…

    Of a sweep, jobs that finished or were pruned are left as they are; those that failed are tried again (Optuna's are not).
    """

    def run(self, arguments: list[str]) -> int:
        if settings := [word for word in arguments if "=" in word]:
            raise ModelwrightError(_no_settings([word for word in arguments if "=" not in word], settings))
        if len(arguments) != 1:
            raise ModelwrightError("resume which run? modelwright resume runs/…")
        notice()
        folder = Path(arguments[0])
        if (folder / record.RECORD).exists():
            return _sweep(folder.absolute())
        if (folder / PIPELINE).exists():
            from modelwright_plugins.command import pipelines

            return pipelines.resume(folder)
        launch.lead(lambda: _run(folder))
        return 0


def _run(folder: Path) -> None:
    for line in changed(folder, begun_with(folder)):
        print(line, flush=True)
    farewell(resume(folder), folder)


def _no_settings(folders: Sequence[str], settings: Sequence[str]) -> str:
    """What to type in the place of `resume RUN key=value`."""
    told = f"resume takes no settings ({' '.join(settings)}): those of a run are frozen"
    if len(folders) != 1 or not (words := begun_with(Path(folders[0]))):
        return f"{told}; modelwright resume runs/… goes on with them, and modelwright run … begins another run"
    other = f"with others it is another run, which takes over what stays the same: {typed('run', *words, *settings)}"
    return f"{told}; {typed('resume', folders[0])} goes on with them; {other}"


def _sweep(folder: Path) -> int:
    from modelwright_plugins.command.run import run_sweep

    words, cwd = record.words_again(folder), record.read(folder).get("cwd")
    if isinstance(cwd, str) and Path(cwd).is_dir():
        os.chdir(cwd)  # what its words name, they name from there
    return run_sweep([*words, f"run.dir='{folder}'"], folder)
