"""The figures of the page about a scaling law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright_plugins.report.svg import BASELINE, INK, MODEL, MUTED, PAPER, figure
from modelwright_plugins.scaling.fit import Fit
from modelwright_plugins.scaling.laws import loss
from modelwright_plugins.scaling.optimum import Allocation
from modelwright_plugins.scaling.units import power, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 6  # at most, of model sizes, spread over all there are


def fitted(fit: Fit) -> str:
    """Measured losses over tokens, and the law's curve of some sizes."""
    o = fit.observations
    every = np.unique(o.parameters)
    sizes = every[np.unique(np.linspace(0, len(every) - 1, min(CURVES, len(every))).round().astype(int))]
    low, high = o.tokens.min() / 1.3, o.tokens.max() * 1.3
    tokens = np.geomspace(low, high, 60)

    def draw(axes: Axes) -> None:
        axes.set(xscale="log", yscale="log")
        for place, size in enumerate(sizes):
            curve = loss(fit.law, fit.theta, size, tokens)
            axes.plot(tokens, curve, color=MODEL, alpha=0.3 + 0.7 * (place + 1) / len(sizes), linewidth=1.4)
            if place in (0, len(sizes) - 1) or len(sizes) < 5:
                axes.annotate(
                    short(size), (tokens[-1], curve[-1]), (4, 0), textcoords="offset points", va="center", color=MODEL, fontsize=10
                )
        axes.plot(o.tokens, o.loss, "o", color=INK, markersize=4, markeredgecolor=PAPER, markeredgewidth=0.5)
        axes.set_xlim(low, high * 1.25)
        _plain(axes)
        axes.set_xlabel("training tokens")
        axes.set_ylabel("loss (nats a token)")

    told = (
        f"Loss over training tokens, both on logarithmic scales: {len(o.loss)} runs of {short(every[0])} to {short(every[-1])} parameters "
        f"as dots, and the fitted law as a curve for each of {len(sizes)} sizes."
    )
    return figure("fitted", 3.6, told, draw)


def frontier(fit: Fit, allocations: Sequence[Allocation]) -> str:
    """Parameters against tokens: lines of equal loss and of equal operations, the runs, and the best of each budget."""
    o = fit.observations
    best = [(a.tokens[0], a.parameters[0]) for a in allocations]
    x = np.geomspace(min(o.tokens.min(), *(t for t, _ in best)) / 2, max(o.tokens.max(), *(t for t, _ in best)) * 2, 80)
    y = np.geomspace(min(o.parameters.min(), *(n for _, n in best)) / 2, max(o.parameters.max(), *(n for _, n in best)) * 2, 80)
    surface = loss(fit.law, fit.theta, y[:, None], x[None, :])
    budgets = np.geomspace(6 * x[0] * y[0], 6 * x[-1] * y[-1], 100)
    path = np.exp(fit.law.log_optimum(fit.theta, budgets))

    def draw(axes: Axes) -> None:
        axes.set(xscale="log", yscale="log")
        axes.grid(visible=False)
        levels = np.quantile(surface, np.linspace(0.05, 0.95, 9))
        lines = axes.contour(x, y, surface, levels=levels, colors=BASELINE, linewidths=0.9)
        axes.clabel(lines, fmt=lambda level: f"{level:.3g}", fontsize=9, colors=MUTED)
        for a in allocations:
            axes.plot(x, a.flops / 6 / x, color=INK, linewidth=1, dashes=(1, 2))
        axes.plot(budgets / 6 / path, path, color=MODEL, linewidth=2)
        axes.plot(o.tokens, o.parameters, "o", color=INK, markersize=4, markeredgecolor=PAPER, markeredgewidth=0.5)
        for a in allocations:
            axes.plot(a.tokens[0], a.parameters[0], "o", color=MODEL, markersize=9, markeredgecolor=PAPER)
            axes.annotate(
                power(a.flops), (a.tokens[0], a.parameters[0]), (9, -4), textcoords="offset points", color=MODEL, fontsize=10, va="top"
            )
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        _plain(axes, losses=False)
        axes.set_xlabel("training tokens")
        axes.set_ylabel("parameters")

    rows = "; ".join(f"{power(a.flops)} FLOPs: {short(a.parameters[0])} parameters, {short(a.tokens[0])} tokens" for a in allocations)
    told = (
        "Parameters against training tokens, on logarithmic scales, with lines of equal loss and of equal operations, the runs as dots, "
        f"and the best for each budget: {rows}."
    )
    return figure("frontier", 3.8, told, draw)


def isoflops(fit: Fit, allocations: Sequence[Allocation]) -> str:
    """The loss of each budget over the size that it is spent on."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        for place, a in enumerate(allocations):
            size = a.parameters[0]
            sizes = np.geomspace(size / 8, size * 8, 81)
            curve = loss(fit.law, fit.theta, sizes, a.flops / 6 / sizes)
            axes.plot(sizes, curve, color=MODEL, alpha=0.3 + 0.7 * (place + 1) / len(allocations))
            axes.plot(size, curve[40], "o", color=MODEL, markersize=8, markeredgecolor=PAPER)
            axes.annotate(
                power(a.flops), (size, curve[40]), (0, -9), textcoords="offset points", color=MODEL, fontsize=10, ha="center", va="top"
            )
        _plain(axes, losses=False)
        axes.margins(y=0.12)
        axes.set_xlabel("parameters")
        axes.set_ylabel("loss (nats a token)")

    told = "Loss over parameters for each budget of operations, with the least marked: " + "; ".join(
        f"{power(a.flops)} FLOPs: {a.loss[0]:.3f} at {short(a.parameters[0])}" for a in allocations
    )
    return figure("isoflops", 3.8, told + ".", draw)


def residuals(fit: Fit) -> str:
    """How far each run is from the law, over its operations."""
    o, percent = fit.observations, 100 * np.expm1(fit.residuals)

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.axhline(0, color=MODEL, linewidth=1.4)
        axes.plot(o.flops, percent, "o", color=INK, markersize=4.5, markeredgecolor=PAPER, markeredgewidth=0.5)
        _plain(axes, losses=False, told=power)
        axes.margins(y=0.15)
        axes.yaxis.set_major_formatter("{x:+.2g} %")
        axes.set_xlabel("operations of the run (6 N D)")
        axes.set_ylabel("measured against fitted loss")

    median, worst = np.median(np.abs(percent)), np.abs(percent).max()
    return figure(
        "residuals", 3.2, f"Residuals over operations: the median is {median:.2g} % of the loss, the largest {worst:.2g} %.", draw
    )


def _plain(axes: Any, *, losses: bool = True, told: Callable[[float], str] = short) -> None:
    """Numbers on logarithmic axes as people write them, few enough to be read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    for axis, low, high in ((axes.xaxis, *axes.get_xlim()), (axes.yaxis, *axes.get_ylim())):
        if axis.get_scale() != "log":
            continue
        if axis is axes.yaxis and losses and high / low < 30:
            axis.set_major_locator(MaxNLocator(6))
        else:
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 300 else (1.0,), numticks=8))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: told(value)))
        axis.set_minor_formatter(NullFormatter())
