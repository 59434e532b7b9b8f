"""Whether a law foresees a run that it was not fitted to: what to look at before believing a bigger prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.scaling.fit import Fit, fit


@dataclass(frozen=True)
class Backtest:
    """The run of the most operations, foreseen from all the others."""

    label: str
    flops: float
    others: float  # operations of the largest of the others
    measured: float  # nats a token
    predicted: tuple[float, float, float]  # best, and the 95 % interval for what it would measure


def backtest(whole: Fit) -> Backtest | None:
    """None when the others are too few to fit."""
    o = whole.observations
    last = int(np.argmax(o.flops))
    kept = [i for i in range(len(o.loss)) if i != last]
    values = {name: getattr(o, name)[kept] for name in ("parameters", "tokens", "loss")}
    rest = replace(o, **values, labels=[o.labels[i] for i in kept])
    try:
        found = fit(whole.law, rest, bootstrap=min(len(whole.samples), 200), seed=whole.seed)
    except ModelwrightError:
        return None
    predicted = found.predicted(o.parameters[last], o.tokens[last])
    return Backtest(o.labels[last], float(o.flops[last]), float(rest.flops.max()), float(o.loss[last]), predicted)
