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
    without: float = 0.0  # the share of bootstrap samples that have no optimum: in the intervals they may be any size


def allocation(fit: Fit, flops: float) -> Allocation | None:
    """The law's optimum in closed form (`Law.log_optimum`), and its percentiles over the bootstrap samples.

    None when the fitted law has no optimum that could be built (`unfit` says why), as one that says more data is worse.
    """
    if unfit(fit, flops):
        return None
    size = float(np.exp(fit.law.log_optimum(fit.theta, np.array(flops))))
    with np.errstate(over="ignore", divide="ignore"):
        sizes = np.exp(fit.law.log_optimum(fit.samples, np.array(flops)))
        least, most = interval(sizes)
        fewest, longest = flops / 6 / np.array([most, least])
    without = float(np.isnan(sizes).mean()) if len(sizes) else 0.0
    tokens = flops / 6 / size
    return Allocation(flops, (size, least, most), (tokens, float(fewest), float(longest)), fit.predicted(size, tokens), without)


def unfit(fit: Fit, flops: float) -> str:
    """Why a budget has no allocation; nothing when it has one."""
    best = float(fit.law.log_optimum(fit.theta, np.array(flops)))
    if np.isnan(best):
        return "by the fitted law, the loss does not fall with both parameters and tokens"
    if best <= 0:
        return "by the fitted law, the best model would have less than one parameter"
    return "" if best < np.log(flops / 6) else "by the fitted law, the best model would read less than one token"
