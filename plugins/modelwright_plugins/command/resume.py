"""`modelwright resume`: go on with a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelwright import launch
from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.run import resume
from modelwright_plugins.command.farewell import farewell


@dataclass(frozen=True, kw_only=True)
class Resume(Command):
    """Go on with a run that was stopped: modelwright resume runs/…"""

    def run(self, arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise ModelwrightError("resume which run? modelwright resume runs/…")
        folder = Path(arguments[0])
        launch.lead(lambda: farewell(resume(folder), folder))
        return 0
