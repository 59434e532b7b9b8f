"""How to spend a budget of operations: the parameters and tokens of the least loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright_plugins.scaling.fit import Fit, interval


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal run of a budget C = 6 N D, each number as (best, low, high) with its 95 % interval."""

    flops: float
    parameters: tuple[float, float, float]
    tokens: tuple[float, float, float]
    loss: tuple[float, float, float]  # nats a token; the interval is of what such a run will measure


def allocation(fit: Fit, flops: float) -> Allocation | None:
    """The law's optimum in closed form (`Law.log_optimum`), and its percentiles over the bootstrap samples.

    None when the fitted law has no optimum that could be built, as one that says more data is worse.
    """
    budget = np.array(flops)
    best = float(fit.law.log_optimum(fit.theta, budget))
    if not 0 < best < np.log(flops / 6):  # from one parameter to one token; not a number is neither
        return None
    low, high = interval(fit.law.log_optimum(fit.samples, budget))
    with np.errstate(over="ignore"):
        size, least, most = (float(end) for end in np.exp([best, low, high]))
    data = flops / 6 / size, flops / 6 / most, flops / 6 / least
    return Allocation(flops, (size, least, most), data, fit.predicted(size, data[0]))
