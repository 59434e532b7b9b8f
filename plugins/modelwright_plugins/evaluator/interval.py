"""Intervals: what a score would be on another sample as large."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.evaluator import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Groups = Sequence[Hashable] | None  # of each example, what it belongs to; None: each stands for itself
DRAWS = 1000  # samples with replacement (Efron & Tibshirani 1993, section 13.3: 1000 for an interval)
Z = 1.959963984540054  # of the normal distribution at 97.5 %


def bootstrap(
    name: str,
    statistics: Any,
    combine: Callable[[Floats], float],
    *,
    better: Literal["higher", "lower"] = "higher",
    draws: int = DRAWS,
    groups: Groups = None,
) -> Score:
    """`combine` of the sums over all examples of `statistics` [examples, k], with the percentile interval of `draws` samples of examples,
    or of groups of them: the turns of a dialogue, say, which are right or wrong together.

    The draws are the same for each score of as many examples, so that scores of two models on the same examples can be compared."""
    import numpy as np

    table = np.asarray(statistics, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    examples = len(table)
    if not examples:
        raise ValueError(f"{name}: there is nothing to measure it on")
    table = _by_group(table, groups)
    count = len(table)
    value, rng = float(combine(table.sum(0))), np.random.default_rng(count)
    found = []
    for _ in range(draws):
        sums = np.bincount(rng.integers(0, count, count), minlength=count) @ table
        if math.isfinite(drawn := float(combine(sums))):
            found.append(drawn)
    low, high = np.quantile(found, [0.025, 0.975]) if found else (value, value)
    return Score(name, value, min(float(low), value), max(float(high), value), examples, better)


def _by_group(table: Floats, groups: Groups) -> Floats:
    """The sums of each group's rows [groups, k]."""
    import numpy as np

    if groups is None:
        return table
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    found = np.zeros((len(places), table.shape[1]))
    np.add.at(found, [places[group] for group in groups], table)
    return found


def mean(name: str, values: Sequence[float], *, better: Literal["higher", "lower"] = "higher", groups: Groups = None) -> Score:
    """The mean of a number of each example. Where all are the same the interval has no width: then the sample does not tell what it would
    be, rather than that it is certain; of numbers between 0 and 1 `share` has one."""
    return bootstrap(name, [[value, 1.0] for value in values], lambda sums: float(sums[0] / sums[1]), better=better, groups=groups)


def proportion(name: str, hits: Sequence[Any], *, better: Literal["higher", "lower"] = "higher", groups: Groups = None) -> Score:
    """How many of these are true, with Wilson's interval (1927), which is right for 0 of 5 and 5 of 5 too, where a bootstrap has none.

    With groups, of as many as they are worth: fewer by the variance of groups' sums over that of as many that have nothing to do with
    each other (Kish 1965, the design effect), and where all are alike as many as there are groups."""
    return share(name, [bool(hit) for hit in hits], better=better, groups=groups)


def share(name: str, values: Sequence[float], *, better: Literal["higher", "lower"] = "higher", groups: Groups = None) -> Score:
    """The mean of numbers from 0 to 1, ties of 0.5 among them, with Wilson's interval of as many hits: never of no width, and too wide
    rather than too narrow, as nothing between 0 and 1 of this mean varies more than hits and misses."""
    count = len(values)
    if not count:
        raise ValueError(f"{name}: there is nothing to measure it on")
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"{name}: a share is of numbers from 0 to 1")
    found = math.fsum(values) / count
    worth = count if groups is None else _worth(values, found, groups)
    z = Z * Z / worth
    middle = (found + z / 2) / (1 + z)
    half = Z * math.sqrt(found * (1 - found) / worth + z / (4 * worth)) / (1 + z)
    return Score(name, found, max(0.0, min(middle - half, found)), min(1.0, max(middle + half, found)), count, better)


def _worth(values: Sequence[float], mean: float, groups: Sequence[Hashable]) -> float:
    """How many independent ones would be as sure: by what these vary among themselves, which of ties is less than of hits and misses."""
    apart = dict[Hashable, float]()
    for group, value in zip(groups, values, strict=True):
        apart[group] = apart.get(group, 0.0) + value - mean
    count = len(apart)
    vary = math.fsum((value - mean) ** 2 for value in values)
    if vary < 1e-12 or count == 1:  # all alike: nothing says that those of a group are no copies of one another
        return count
    effect = math.fsum(each * each for each in apart.values()) * count / (count - 1) / vary
    return len(values) / max(1.0, effect)
