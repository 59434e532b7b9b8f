"""A statistic of a sample of documents, counted so that a person sees what its threshold does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 40
WIDE = 100.0  # values whose bulk spans more than this ratio are binned by their logarithms
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)  # of documents, for which the threshold is told that would drop them


def statistics(rows: Sequence[tuple[bool, dict[str, float]]], bounds: dict[str, list[float | None]]) -> dict[str, dict[str, Any]]:
    """Statistic -> `histogram`, in the order of `bounds`, of a sample: (whether the filter kept the document, its values).

    "alone" is the share of the sample that is outside of this statistic's bounds and of no other's."""
    import numpy as np

    outside = [sum(_outside(values[name], *limits) for name, limits in bounds.items() if name in values) for _, values in rows]
    found = {}
    for name, (least, most) in bounds.items():
        have = [(kept, values[name], others) for (kept, values), others in zip(rows, outside, strict=True) if name in values]
        if not have:
            continue
        values, kept = np.array([value for _, value, _ in have]), np.array([stays for stays, _, _ in have])
        alone = sum(others == 1 and _outside(value, least, most) for _, value, others in have)
        found[name] = histogram(values, kept, least, most) | {"alone": alone / len(have), "without": len(rows) - len(have)}
    return found


def _outside(value: float, least: float | None, most: float | None) -> bool:
    return (least is not None and value < least) or (most is not None and value > most)


def histogram(values: NDArray[np.float64], kept: NDArray[np.bool_], least: float | None, most: float | None) -> dict[str, Any]:
    """Counts of `values` (n,), finite, in at most BINS + 4 bins, apart for documents that the filter kept and that it dropped.

    {"least", "most", "scale": "whole" | "linear" | "log", "edges", "kept", "dropped", "lowest", "highest", "median", "outside",
    "thresholds": {"least" | "most": [[value, share of the sample that it would drop], …]}}. A bin has its lower edge and not its upper
    one; the first and the last also count what lies beyond them. A bound that lies in the range is an edge, so that no bin has values on
    both sides of it.
    """
    import numpy as np

    scale, edges = _edges(values, [bound for bound in (least, most) if bound is not None])
    if scale == "whole":
        cuts = edges
    else:
        cuts = _with_bounds(scale, edges, least, most)
        edges = np.array([most if most is not None and cut == np.nextafter(most, np.inf) else cut for cut in cuts])
    place = np.clip(np.searchsorted(cuts, values, side="right") - 1, 0, len(cuts) - 2)
    counted = [np.bincount(place[chosen], minlength=len(cuts) - 1).tolist() for chosen in (kept, ~kept)]
    outside = np.zeros(len(values), dtype=bool)
    thresholds: dict[str, list[list[float]]] = {}
    if least is not None:
        outside |= values < least
        thresholds["least"] = _thresholds(values)
    if most is not None:
        outside |= values > most
        thresholds["most"] = [[-value, share] for value, share in _thresholds(-values)]
    return {
        "least": least,
        "most": most,
        "scale": scale,
        "edges": [float(edge) for edge in edges],
        "kept": counted[0],
        "dropped": counted[1],
        "lowest": float(values.min()),
        "median": float(np.median(values)),
        "highest": float(values.max()),
        "outside": float(outside.mean()),
        "thresholds": thresholds,
    }


def _edges(values: NDArray[np.float64], bounds: list[float]) -> tuple[str, NDArray[np.float64]]:
    """The bins' edges, before a bound is made one: around the bulk of the values, and to a bound that is not far from it."""
    import numpy as np

    low, high = values.min(), values.max()
    whole = all((numbers == np.round(numbers)).all() for numbers in (values, np.array(bounds)))
    if whole and max(-low, high) < 2**50:  # above, a float has no halves
        near = [bound for bound in bounds if low - BINS / 4 <= bound <= high + BINS / 4]
        first, last = min([low, *(bound - 1 for bound in near)]), max([high, *(bound + 1 for bound in near)])  # both sides of the line
        if last - first < BINS:
            return "whole", np.arange(first - 0.5, last + 1)
    above = values[values > 0]
    bulk = np.quantile(above, [0.02, 0.98]) if low >= 0 and len(above) else np.ones(2)
    if bulk[1] > WIDE * bulk[0] and not 0.01 < high <= 1:  # shares stay as they are
        near = [bound for bound in bounds if above.min() / 30 <= bound <= high * 30 and bound > 0]
        first, last = min([above.min(), *near]), max([high, *near])
        zero = [0.0] if low == 0 else []  # a bin of its own
        edges = np.exp(_grid(np.log(first), np.log(last) + 1e-6, [np.log(bound) for bound in near[:1]]))
        edges[0] = min(edges[0], first)
        return "log", np.array([*zero, *edges])
    low, high = np.quantile(values, [0.005, 0.995])
    spread = high - low or max([abs(bound - low) for bound in bounds], default=0.0) or 1.0
    spread = max(spread, 1e-9 * max(-low, high))  # edges are numbers of their own
    near = [bound for bound in bounds if low - spread <= bound <= high + spread]
    first, last = min([low, *near]), max([high, *near])
    margin = max(last - first, spread) / BINS  # a bound is never at the very end
    first = min(first, 0.0) if 0 <= first < margin and low >= 0 else first - margin
    return "linear", _grid(first, last + margin, near[:1], whole)


def _grid(first: float, last: float, at: list[float], whole: bool = False) -> NDArray[np.float64]:
    """Edges of equal distances from `first`, or a little before, to `last`, or a little beyond; one of them is `at`."""
    import numpy as np

    step = (last - first) / BINS
    step = np.ceil(step) if whole else step
    begin = at[0] - np.ceil((at[0] - first) / step - 1e-9) * step if at else first
    edges = begin + step * np.arange(np.ceil((last - begin) / step - 1e-9) + 1)
    edges[np.abs(edges - at[0]).argmin() if at else 0] = at[0] if at else begin
    return edges


def _with_bounds(scale: str, edges: NDArray[np.float64], least: float | None, most: float | None) -> NDArray[np.float64]:
    """The edge that is nearest to a bound gives way to it: to the very next number after `most`, which itself is still allowed."""
    import numpy as np

    cuts, first = edges.copy(), edges[1 if scale == "log" and edges[0] == 0 else 0]
    for bound in (least, None if most is None else np.nextafter(most, np.inf)):
        if bound is None or not first < bound < cuts[-1]:
            continue
        nearest = int(np.abs(cuts - bound).argmin())
        if cuts[nearest] in (cuts[0], first, cuts[-1], least):
            cuts = np.unique(np.append(cuts, bound))
        else:
            cuts[nearest] = bound
    return cuts


def _thresholds(values: NDArray[np.float64]) -> list[list[float]]:
    """Least values, and what share of the sample each of them would drop: of the values that there are, those nearest to SHARES."""
    import numpy as np

    each, counts = np.unique(values, return_counts=True)
    below = (np.cumsum(counts) - counts) / len(values)
    found = dict.fromkeys(int(np.abs(below - share).argmin()) for share in SHARES)
    return [[float(each[place]), float(below[place])] for place in found if below[place]]
