"""A classifier's ROC curve as a picture of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelwright_plugins.filter._logistic import roc
from modelwright_plugins.report.svg import BASELINE, INK, MODEL, MUTED, figure, standalone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from modelwright_plugins.filter._classifier import Model


def at(model: Model, threshold: float) -> tuple[float, float]:
    """The shares of held-out examples of both classes whose probability is at least the threshold."""
    true, false = (float((side >= threshold).mean()) for side in model.held_out)
    return true, false


def drawn(model: Model, threshold: float) -> str:
    """An SVG file: the curve, and where the threshold is on it."""
    first, second = model.classes
    true, false = at(model, threshold)
    curve = roc(*model.held_out)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=BASELINE, linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(curve[:, 0], curve[:, 1], color=MODEL)
        axes.plot([false], [true], "o", color=INK, markersize=6, clip_on=False)
        left, text = ("left", (9, -14)) if false < 0.6 else ("right", (-9, -14))
        axes.annotate(f"threshold {threshold:g}", (false, true), text, textcoords="offset points", color=INK, ha=left)
        axes.text(0.98, 0.06, f"AUC {model.auc():.3f}", color=MUTED, ha="right")
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
        axes.set_xlabel(f"share of {second} texts taken for {first}")
        axes.set_ylabel(f"share of {first} texts found")

    told = (
        f"ROC curve on {len(model.held_out[0]):,} {first} and {len(model.held_out[1]):,} {second} texts that were held out: area "
        f"{model.auc():.3f}; at a threshold of {threshold:g} {true:.0%} and {false:.0%} are taken for {first}"
    )
    return standalone(figure("roc", 4.4, told, draw))
