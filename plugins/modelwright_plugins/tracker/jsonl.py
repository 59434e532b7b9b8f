"""Metrics as lines of JSON in the run's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from modelwright.errors import ModelwrightError
from modelwright_plugins.tracker import Tracker, TrackerLog


@dataclass(frozen=True, kw_only=True)
class Jsonl(Tracker):
    """One JSON object a step in metrics.jsonl: step, tokens, loss, grad_norm, lr, tokens_per_second."""

    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        path = out / "metrics.jsonl"
        keep = _lines_up_to(path, step) if step and path.exists() else []
        # A new file takes the old one's place, so that a kill in between leaves one or the other whole.
        fresh = path.with_name(path.name + ".new")
        fresh.write_text("".join(keep), encoding="utf-8")
        fresh.replace(path)
        return _JsonlLog(path.open("a", encoding="utf-8", buffering=1))


def _lines_up_to(path: Path, step: int) -> list[str]:
    """The whole lines of steps up to and including `step`; a last line without its end was cut by a kill and goes."""
    keep = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            at = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):
            raise ModelwrightError(f"{path}:{number}: expected a JSON object with 'step', found {line.strip()[:60]!r}") from None
        if at <= step:
            keep.append(line)
    return keep


class _JsonlLog(TrackerLog):
    """Line-buffered: every finished step is with the operating system, so that a killed process loses at most the line being written."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def log(self, metrics: Mapping[str, float]) -> None:
        # JSON has no NaN or infinity: a loss that blew up reads as null in every language.
        finite = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        self.file.write(json.dumps(finite) + "\n")

    def close(self) -> None:
        self.file.close()
