"""One progress bar for all long work: rate and time left; on a terminal redrawn in place, in a log a line now and then."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm


class _Lines:
    """What tqdm redraws with a carriage return, as lines."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            self.file.write(f"  {line}\n")

    def flush(self) -> None:
        self.file.flush()


def progress(title: str, total: int | None, unit: str) -> tqdm[Any]:
    """A tqdm bar on standard error. `unit` is what is counted: 'B' and 'tok' are scaled; `.update(n)`, `.set_postfix_str`, `.close()`."""
    from tqdm import tqdm

    tty = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=f"  {title}",
        unit=unit,
        unit_scale=unit in {"B", "tok"},
        dynamic_ncols=tty,
        smoothing=0.1,
        mininterval=0.2 if tty else 15.0,
        maxinterval=10.0 if tty else 60.0,
        file=sys.stderr if tty else _Lines(sys.stderr),
    )
