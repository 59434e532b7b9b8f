"""What is said of a pipeline: the headline numbers of its phases as one table, and where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelwright_plugins.pipeline.page import PAGE
from modelwright_plugins.results import returned
from modelwright_plugins.terminal import answers, shown, tried, written


def table(manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a table: a row a number (`stage.name`), a column a phase; `-` where a phase has none."""
    rows = [["", *manifests]]
    rows += [[key, *("-" if value is None else written(value) for value in values)] for key, values in returned(manifests)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()


def farewell(manifests: Mapping[str, Mapping[str, Any]], folder: Path, record: Mapping[str, Any]) -> None:
    """Print the table, where the pipeline is, and what to try next."""
    print()
    for line in table(manifests):
        print(f"  {line}")
    answers(manifests)
    page = folder / PAGE
    print(f"\nThe pipeline is in {shown(folder)}" + (f"; open {shown(page)}" if page.exists() else ""))
    if record["next"]:
        print("Try next:")
    for overrides in record["next"]:
        print(f"  {tried(record['recipe'], overrides)}")
