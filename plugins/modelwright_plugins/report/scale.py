"""Where the values of a setting or a metric stand on an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelwright_plugins.report.comparison import told

DECADE = 10.0  # numbers that span more than this stand on a logarithmic axis
FEW = 6
NEAR = 0.07  # ticks nearer than this share of the axis would overlap


@dataclass(frozen=True)
class Scale:
    """An axis from 0 to 1."""

    name: str  # linear, logarithmic or categories
    place: Callable[[Any], float]
    ticks: Sequence[tuple[float, str]]
    shared: bool  # a few values, each with its tick, that several runs share


def scale(values: Sequence[Any], *, turned: bool = False) -> Scale:
    """The axis for these values: numbers by size, on a logarithm when they span a decade, all else a category each.

    `turned`: the smallest on top. There must be a value.
    """
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) for value in values):
        return _categories(values)
    lowest, highest = min(values), max(values)
    logarithmic = lowest > 0 and highest >= lowest * DECADE
    size: Callable[[float], float] = math.log10 if logarithmic else float
    low, span = size(lowest), size(highest) - size(lowest)

    def place(value: float) -> float:
        at = (size(value) - low) / span if span else 0.5
        return 1 - at if turned else at

    known = sorted(set(values))
    return Scale(
        "logarithmic" if logarithmic else "linear", place, _ticks(known, place, logarithmic), len(known) <= min(FEW, len(values) - 1)
    )


def _categories(values: Sequence[Any]) -> Scale:
    names = sorted({told(value) for value in values})
    at = {name: index / (len(names) - 1) if len(names) > 1 else 0.5 for index, name in enumerate(names)}
    return Scale("categories", lambda value: at[told(value)], [(place, name) for name, place in at.items()], len(names) < len(values))


def _ticks(values: Sequence[float], place: Callable[[float], float], logarithmic: bool) -> list[tuple[float, str]]:
    """The values themselves when they are few; else the ends and round numbers between."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    wanted = [values[0], values[-1]]
    if len(values) <= FEW:
        wanted += values[1:-1]
    else:
        digits = (1.0,) if values[-1] > 100 * values[0] else (1.0, 2.0, 5.0)
        between = (LogLocator(subs=digits) if logarithmic else MaxNLocator(4)).tick_values(values[0], values[-1])
        wanted += [float(value) for value in between if values[0] < value < values[-1]]
    found: list[tuple[float, str]] = []
    for value in dict.fromkeys(wanted):
        if all(abs(place(value) - other) >= NEAR for other, _ in found):
            found.append((place(value), told(float(f"{value:.4g}"))))
    return sorted(found)
