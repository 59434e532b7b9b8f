"""How to spend a budget of operations: the parameters and tokens of the least loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.scaling.fit import Fit, interval


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal run of a budget C = 6 N D, each number as (best, low, high) with its 95 % interval."""

    flops: float
    parameters: tuple[float, float, float]
    tokens: tuple[float, float, float]
    loss: tuple[float, float, float]  # nats a token; the interval is of what such a run will measure


def allocation(fit: Fit, flops: float) -> Allocation:
    """The law's optimum in closed form (`Law.log_optimum`), and its percentiles over the bootstrap samples.

    Raises ModelwrightError when the fitted law has no optimum, as one that says more data is worse.
    """
    budget = np.array(flops)
    best = float(fit.law.log_optimum(fit.theta, budget))
    if np.isnan(best):
        raise ModelwrightError(
            f"{fit.observations.name}: the fitted {fit.law.name} law has no optimum: its loss does not fall with size and data"
        )
    low, high = interval(fit.law.log_optimum(fit.samples, budget))
    with np.errstate(over="ignore"):
        parameters = float(np.exp(best)), float(np.exp(low)), float(np.exp(high))
    size, least, most = parameters
    tokens = flops / 6 / size, flops / 6 / most, flops / 6 / least
    return Allocation(flops, parameters, tokens, fit.predicted(size, tokens[0]))
