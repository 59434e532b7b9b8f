"""Intervals: what a score would be on another sample as large."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.evaluator import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 1000  # samples with replacement (Efron & Tibshirani 1993, section 13.3: 1000 for an interval)
Z = 1.959963984540054  # of the normal distribution at 97.5 %


def bootstrap(
    name: str,
    statistics: Any,
    combine: Callable[[Floats], float],
    *,
    better: Literal["higher", "lower"] = "higher",
    draws: int = DRAWS,
) -> Score:
    """`combine` of the sums over all examples of `statistics` [examples, k], with the percentile interval of `draws` samples of examples.

    The draws are the same for each score of as many examples, so that scores of two models on the same examples can be compared."""
    import numpy as np

    table = np.asarray(statistics, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    count = len(table)
    if not count:
        raise ValueError(f"{name}: there is nothing to measure it on")
    value, rng = float(combine(table.sum(0))), np.random.default_rng(count)
    found = []
    for _ in range(draws):
        sums = np.bincount(rng.integers(0, count, count), minlength=count) @ table
        if math.isfinite(drawn := float(combine(sums))):
            found.append(drawn)
    low, high = np.quantile(found, [0.025, 0.975]) if found else (value, value)
    return Score(name, value, min(float(low), value), max(float(high), value), count, better)


def mean(name: str, values: Sequence[float], *, better: Literal["higher", "lower"] = "higher") -> Score:
    """The mean of a number of each example."""
    return bootstrap(name, [[value, 1.0] for value in values], lambda sums: float(sums[0] / sums[1]), better=better)


def proportion(name: str, hits: Sequence[Any], *, better: Literal["higher", "lower"] = "higher") -> Score:
    """How many of these are true, with Wilson's interval (1927), which is right for 0 of 5 and 5 of 5 too, where a bootstrap has none."""
    count, won = len(hits), sum(map(bool, hits))
    if not count:
        raise ValueError(f"{name}: there is nothing to measure it on")
    share, z = won / count, Z * Z / count
    middle = (share + z / 2) / (1 + z)
    half = Z * math.sqrt(share * (1 - share) / count + z / (4 * count)) / (1 + z)
    return Score(name, share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)), count, better)
