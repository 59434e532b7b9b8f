"""What a model was worth at each checkpoint: rows of a table, and a figure for each score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelwright_plugins.report.svg import MODEL, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Checkpoints = Sequence[Mapping[str, Any]]  # {"step", "scores"} of each, oldest first
Scores = Sequence[Mapping[str, Any] | None]


def named(score: Mapping[str, Any]) -> str:
    """As tables call it."""
    return f"{score['evaluator']}/{score['name']}".lstrip("/")


def by_score(checkpoints: Checkpoints) -> list[tuple[str, Scores]]:
    """Each score of the newest, and what it was at each checkpoint; None: it was not measured there."""
    every = [{named(score): score for score in checkpoint["scores"]} for checkpoint in checkpoints]
    return [(name, [each.get(name) for each in every]) for name in every[-1]]


def rows(checkpoints: Checkpoints) -> list[dict[str, Any]]:
    """{"name", "better", "count", "cells": [{"value", "low", "high", "best"} or None]} of each score, a cell a checkpoint."""
    found = []
    for name, scores in by_score(checkpoints):
        there = [score for score in scores if score is not None]
        last = there[-1]
        values = {score["value"] for score in there}
        best = (min if last["better"] == "lower" else max)(values) if len(values) > 1 else None  # where all are alike, none is
        cells = [
            score and {key: f"{score[key]:.4g}" for key in ("value", "low", "high")} | {"best": score["value"] == best} for score in scores
        ]
        found.append({"name": name, "better": last["better"], "count": f"{last['count']:,}", "cells": cells})
    return found


def figures(checkpoints: Checkpoints) -> list[tuple[str, str, str]]:
    """(name, which way is better, SVG) of each score over steps, with its 95 % interval; none of a single checkpoint."""
    found = []
    for number, (name, scores) in enumerate(by_score(checkpoints)):
        there = [(checkpoint["step"], score) for checkpoint, score in zip(checkpoints, scores, strict=True) if score is not None]
        if len(there) < 2:
            continue
        ends = [
            f"{score['value']:.4g} ({score['low']:.4g} to {score['high']:.4g}) at step {step:,}" for step, score in (there[0], there[-1])
        ]
        told = f"{name} over {len(there)} checkpoints: {', '.join(ends)}."
        found.append((name, f"{there[-1][1]['better']} is better", _figure(f"over-training-{number}", told, there)))
    return found


def _figure(name: str, told: str, there: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    steps = [step for step, _ in there]
    low, value, high = ([score[key] for _, score in there] for key in ("low", "value", "high"))

    def draw(axes: Axes) -> None:
        axes.fill_between(steps, low, high, color=MODEL, alpha=0.18, linewidth=0)
        axes.plot(steps, value, "o-", color=MODEL, markersize=5)
        axes.set_xlabel("step")

    return figure(name, 2.9, told, draw)
