"""Rows of a benchmark's table, and processor time."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    work: str
    ours: str
    stock: str
    ratio: str
    bar: str
    met: bool | None  # None: no bar


def row(work: str, megabytes: float, ours: float, stock: float, bar: float, also: str = "", held: bool = True) -> Row:
    """Of the seconds that both took; `also` says what else the bar wants, and `held` whether that is so."""
    ratio = stock / ours
    wanted = f">= {bar:g} x{', ' if also else ''}{also}"
    return Row(work, f"{megabytes / ours:.2f} MB/s", f"{megabytes / stock:.2f} MB/s", f"{ratio:.1f} x", wanted, ratio >= bar and held)


def cpu() -> float:
    """Seconds of processor time of this process, its threads and the children that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = cpu()
    found = work()
    return cpu() - begin, found


def table(rows: list[Row]) -> str:
    lines = [("work", "ours", "stock", "ratio", "bar", "met")]
    lines += [(one.work, one.ours, one.stock, one.ratio, one.bar, {True: "yes", False: "NO", None: ""}[one.met]) for one in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
