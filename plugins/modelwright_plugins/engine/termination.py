"""SIGTERM as a request: a rank goes on to the end of its step, where ranks agree to save and stop."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

from modelwright.errors import ModelwrightError


class Terminated(ModelwrightError):
    """This rank was asked to end, and did at the end of a step, which is saved."""


class Termination:
    """Within it, SIGTERM sets `asked`. Where the process that leads this rank is gone, it ends the rank at once instead, as it would
    have: nobody waits for it, and a run that goes on from its checkpoints must not meet it there."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self.leader = os.getppid()
        self.ours = threading.current_thread() is threading.main_thread()  # others may not set handlers
        self.before: Any = signal.signal(signal.SIGTERM, self._heard) if self.ours else None
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            signal.signal(signal.SIGTERM, self.before)

    def _heard(self, number: int, _: FrameType | None) -> None:
        self.asked = True
        if os.getppid() != self.leader:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
