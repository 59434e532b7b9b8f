"""Metrics as a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright_plugins.tracker import Tracker, TrackerLog


@dataclass(frozen=True, kw_only=True)
class Table(Tracker):
    """A CSV file in the stage's folder: a row for each step, as any spreadsheet opens it."""

    file: str = "metrics.csv"  # its name
    every: int = 1  # steps between rows

    def __post_init__(self) -> None:
        if self.every < 1 or "/" in self.file:
            raise ValueError(f"every is {self.every} and file {self.file!r}; they are 1 or more, and a name without folders")

    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        path = out / self.file
        rows: list[dict[str, str]] = []
        if step and path.exists():  # go on after `step`: what a killed run wrote later goes
            with path.open(encoding="utf-8", newline="") as lines:
                rows = [row for row in csv.DictReader(lines) if None not in row.values() and int(row["step"]) <= step]
        return _TableLog(path, rows, self.every)


class _TableLog(TrackerLog):
    def __init__(self, path: Path, rows: list[dict[str, str]], every: int) -> None:
        self.every, self.begun = every, False
        self.file = path.open("w", encoding="utf-8", newline="", buffering=1)  # every row is safe when the process dies
        for row in rows:
            self._write(row)

    def log(self, metrics: Mapping[str, float]) -> None:
        if metrics["step"] % self.every == 0:
            self._write(metrics)

    def close(self) -> None:
        self.file.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        table = csv.DictWriter(self.file, list(row))
        if not self.begun:
            table.writeheader()
            self.begun = True
        table.writerow(row)
