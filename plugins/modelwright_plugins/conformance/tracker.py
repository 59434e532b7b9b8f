"""What a tracker promises."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised

CONFIG = {"recipe": "check", "seed": 1, "train": {"steps": 5, "init_from": None}, "filter": {}, "stages": ["train"]}
ODD = (float("nan"), float("inf"))


@dataclass(frozen=True, kw_only=True)
class Trackers(Conformance):
    """A tracker: it takes numbers and goes on after a step, writes where it is told, and leaves the terminal alone."""

    example = "modelwright_plugins.conformance.examples.tracker"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "it opens, logs a step's numbers, NaN and infinity too, and closes"):
            said = [elsewhere(_logged, component, folder / "whole", 0, [1, 2, 3, 4, 5], True, folder=folder / "first")]
        with promised(component, "left open by a run that was killed after step 5, it opens again at step 3 and goes on"):
            said.append(elsewhere(_logged, component, folder / "out", 0, [1, 2, 3, 4, 5], False, folder=folder / "killed"))
            killed = _files_with(folder / "out", _loss(2))
            said.append(elsewhere(_logged, component, folder / "out", 3, [4], True, folder=folder / "again"))
        with promised(
            component, "opened again at step 3, it has dropped what a killed run had logged after it (seen where it writes text)"
        ):
            for name in killed:
                text = (folder / "out" / name).read_text(encoding="utf-8")
                hold(str(_loss(3)) in text, f"{name} has lost step 3")
                hold(str(_loss(5)) not in text, f"{name} still has step 5")
                hold(text.count(str(_loss(4))) == 1, f"{name} has step 4 {text.count(str(_loss(4)))} times")
        with promised(component, "it prints nothing: the terminal is the progress bar's"):
            hold(not any(said), f"it printed {next((s for s in said if s), '')[:100]!r}")
        with promised(component, "it writes in the folder that it is given, and not in the current one"):
            stray = sorted(p.name for where in ("first", "killed", "again") for p in (folder / where).iterdir() if p.name != "call.pickle")
            hold(set(stray) <= {"printed"}, f"it wrote {', '.join(stray)}")


def _loss(step: int) -> float:
    return 7000.125 + step  # a number that stands nowhere by chance


def _logged(component: Any, out: Path, step: int, steps: list[int], close: bool) -> str:
    """Log these steps, as the training stage does; what was printed meanwhile."""
    out.mkdir(exist_ok=True)
    with _caught() as said:
        log = component.open(out, CONFIG, step=step)
        for number in steps:
            rate = ODD[number % 2] if step == 0 and number == 1 else 0.001
            log.log(
                {"step": number, "tokens": 256 * number, "loss": _loss(number), "grad_norm": rate, "lr": 1e-3, "tokens_per_second": 9.5}
            )
        if close:
            log.close()
    return said[0]


@contextlib.contextmanager
def _caught() -> Iterator[list[str]]:
    """What this process and its children print inside, whichever way."""
    said: list[str] = []
    kept = [os.dup(1), os.dup(2)]
    with Path("printed").open("w+b") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield said
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
            said.append(Path("printed").read_text(encoding="utf-8", errors="replace"))


def _files_with(folder: Path, number: float) -> list[str]:
    """Text files in which this number stands."""
    found = []
    for file in sorted(folder.rglob("*")):
        with contextlib.suppress(UnicodeDecodeError):
            if file.is_file() and str(number) in file.read_text(encoding="utf-8"):
                found.append(str(file.relative_to(folder)))
    return found
