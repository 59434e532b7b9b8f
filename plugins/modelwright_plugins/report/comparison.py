"""Runs side by side: what differs between them, which is best, and which no other beats in everything."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError, nearest
from modelwright.schema import RESERVED
from modelwright_plugins.report.runs import Ran, Swept

LESS_IS_BETTER = ("bits_per_byte", "perplexity", "loss")  # what runs are sorted by when nobody says: the first of these that there is
LAST = ("finished", "running", "stopped", "killed", "pruned", "failed")  # runs without the metric, in this order


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric to sort by."""

    metric: str
    maximize: bool = False  # more is better

    def cost(self, run: Ran) -> float:
        """The metric of a run, turned so that less is better; infinite when the run has no such number."""
        value = run.metrics.get(self.metric, math.nan)
        return (-value if self.maximize else value) if math.isfinite(value) else math.inf

    def has(self, run: Ran) -> bool:
        return self.cost(run) < math.inf

    def __str__(self) -> str:
        return f"{'highest' if self.maximize else 'lowest'} {self.metric}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs, best first."""

    runs: Sequence[Ran]
    keys: Sequence[str]  # settings that differ between runs that have them, those that overrides name first, in their order
    sometimes: Sequence[str]  # settings that only some runs have, with one value: what comes with a component
    metrics: Sequence[str]  # the objectives first
    objectives: Sequence[Objective]
    front: frozenset[str]  # names of the best run, or of all on the Pareto front of several objectives
    words: Sequence[str] = ()  # the command line of the sweep
    folder: Path = Path()  # that holds the runs

    @property
    def caution(self) -> str:
        """What must be known before numbers of these runs are compared; mostly nothing."""
        usual = Counter(run.shards for run in self.runs if run.shards).most_common(1)
        others = [run.name for run in self.runs if run.shards and run.shards != usual[0][0]]
        return f"Evaluated on other text than most, so that their numbers do not compare: {', '.join(others)}." if others else ""

    @property
    def measured(self) -> list[Ran]:
        """The runs that have a number for every objective."""
        return [run for run in self.runs if self.objectives and all(objective.has(run) for objective in self.objectives)]

    def label(self, metric: str) -> str:
        """The metric's name, told from a setting that bears the same."""
        return f"{metric}(result)" if metric in self.keys else metric

    @property
    def unfinished(self) -> list[Ran]:
        """The runs that ended early, or have not ended."""
        return [run for run in self.runs if run.status != "finished"]


def compared(runs: Sequence[Ran], objectives: Sequence[Objective] | None, sweep: Swept, folder: Path) -> Comparison:
    """Sort and sift. `objectives`: None leaves the choice to the sweep, or else to custom.

    Raises ModelwrightError when no run has a metric that was asked for.
    """
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    for asked in objectives or ():
        if asked.metric not in metrics:
            raise ModelwrightError(f"--by {asked.metric}: no run has this number{nearest(asked.metric, metrics)}")
    chosen = list(objectives) if objectives is not None else _usual(metrics, sweep)
    front = pareto(runs, chosen)
    keys, sometimes = differing(runs)

    def place(run: Ran) -> tuple[bool, float, int]:
        last = LAST.index(run.status) if run.status in LAST else len(LAST)
        return run.name not in front, chosen[0].cost(run) if chosen else 0.0, last if chosen and not chosen[0].has(run) else 0

    first = [objective.metric for objective in chosen]
    return Comparison(
        runs=sorted(runs, key=place) if chosen else list(runs),
        keys=keys,
        sometimes=sometimes,
        metrics=[*first, *(name for name in metrics if name not in first)],
        objectives=chosen,
        front=front,
        words=sweep.words,
        folder=folder,
    )


def pareto(runs: Sequence[Ran], objectives: Sequence[Objective]) -> frozenset[str]:
    """Names of the runs that no other run equals or beats in every objective and beats in one; of one objective, the best."""
    if not objectives:
        return frozenset()
    costs = {run.name: [objective.cost(run) for objective in objectives] for run in runs}
    known = {name: cost for name, cost in costs.items() if max(cost) < math.inf}

    def dominated(mine: list[float]) -> bool:
        return any(cost != mine and all(theirs <= own for theirs, own in zip(cost, mine, strict=True)) for cost in known.values())

    return frozenset(name for name, cost in known.items() if not dominated(cost))


def differing(runs: Sequence[Ran]) -> tuple[list[str], list[str]]:
    """Keys with several values among the runs that have them, and keys with one value that some runs don't have."""
    several, sometimes = [], []
    for key in dict.fromkeys(key for run in runs for key in run.settings):
        having = [run for run in runs if key in run.settings]
        if len({_same(run.settings[key]) for run in having}) > 1:
            several.append(key)
        elif any(run.whole for run in runs if key not in run.settings):
            sometimes.append(key)
    asked = list(dict.fromkeys(override.partition("=")[0].lstrip("+~") for run in runs for override in run.overrides))
    place = {name: at for at, key in enumerate(asked) for name in (key, f"{key}.{RESERVED}")}
    return sorted(several, key=lambda key: place.get(key, len(asked))), sometimes


def told(value: Any) -> str:
    """A setting as one would write it in an override; numbers in six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(told, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def number(value: float) -> str:
    """A metric in a few digits; whole numbers whole."""
    return f"{value:.0f}" if math.isfinite(value) and abs(value) < 1e15 and value == int(value) else f"{value:.4g}"


def _same(value: Any) -> str:
    """Equal for equal settings: 1 and 1.0 are, 1 and true, or 1 and "1", are not."""
    return repr(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else json.dumps(value, default=str)


def _usual(metrics: Sequence[str], sweep: Swept) -> list[Objective]:
    """The sweep's own objectives, when there are such numbers; else the last stage's loss."""
    if given := [Objective(metric=metric, maximize=maximize) for metric, maximize in sweep.objectives if metric in metrics]:
        return given
    named = {name.rpartition(".")[2]: name for name in metrics}
    return [Objective(metric=named[name]) for name in LESS_IS_BETTER if name in named][:1]
