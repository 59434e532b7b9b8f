"""The page about a fitted scaling law: what it says, and how it is put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import modelwright
from modelwright_plugins.report.template import template
from modelwright_plugins.scaling import figures
from modelwright_plugins.scaling.backtest import Backtest
from modelwright_plugins.scaling.fit import Fit, interval
from modelwright_plugins.scaling.laws import loss
from modelwright_plugins.scaling.optimum import Allocation
from modelwright_plugins.scaling.units import power, short


@dataclass(frozen=True)
class Findings:
    """All that a page, or the lines on a terminal, tell."""

    fit: Fit
    allocations: Sequence[Allocation]  # of budgets, the smallest first; none when the law has no optimum
    predictions: Sequence[Allocation]  # runs that were asked about: their parameters and tokens are given, so without intervals
    backtest: Backtest | None
    command: str  # that made it
    dropped: Sequence[tuple[float, str]] = ()  # budgets without an allocation, and why

    @property
    def coefficients(self) -> list[tuple[str, float, float, float]]:
        """Name, value and 95 % interval of each."""
        law, theta = self.fit.law, self.fit.theta
        every = law.coefficients(self.fit.samples)
        return [(name, float(value), *interval(every[name])) for name, value in law.coefficients(theta).items()]

    @property
    def believed(self) -> str:
        """How near the runs are to the law, and whether it foresaw its largest."""
        percent = 100 * np.abs(np.expm1(self.fit.residuals))
        told = f"The median run is {np.median(percent):.2g} % from the law, the furthest {percent.max():.2g} %."
        if (b := self.backtest) is None:
            return told
        best, low, high = b.predicted
        told += (
            f" Without its largest run ({b.label}, {b.flops / b.others:.2g} times the operations of the next), the law foresees {best:.3f}"
        )
        return told + (f" ({low:.3f} to {high:.3f})" if low == low else "") + f" there; measured was {b.measured:.3f}."

    @property
    def warnings(self) -> list[str]:
        """What keeps this from being believed."""
        o, law, found = self.fit.observations, self.fit.law, []
        if len(o.loss) < 3 * len(law.names):
            found.append(f"{len(o.loss)} runs are few for {len(law.names)} coefficients: the intervals are rough")
        if (b := self.backtest) and not b.predicted[1] <= b.measured <= b.predicted[2] and b.predicted[1] == b.predicted[1]:
            found.append("The largest run is outside the interval foreseen from the others: what is said beyond the data is doubtful")
        if not self.allocations:
            found.append("The fitted law has no best size for any of the budgets")
        found += [f"{power(flops)} FLOPs have no best size: {why}" for flops, why in self.dropped]
        widened = [a for a in self.allocations if a.without and not 0 < a.parameters[1] <= a.parameters[2] < float("inf")]
        if widened:
            share = 100 * max(a.without for a in widened)
            found.append(f"In {share:.2g} % of the bootstrap samples there is no best size: it may be any, and so say the intervals")
        if (furthest := max((a.flops for a in (*self.allocations, *self.predictions)), default=0.0) / o.flops.max()) > 100:
            found.append(f"The largest budget is {short(furthest)} times the operations of the largest run")
        bounds = {name: (low, high) for name, _, low, high in self.coefficients}
        lost = [name for name, (low, high) in bounds.items() if high > 1e4 * low and name in {"E", "alpha", "beta", "alpha_N", "alpha_D"}]
        if bounds.get("E", (1, 1))[0] < 1e-3 * o.loss.min() and "E" not in lost:
            lost.insert(0, "E")
        if lost:
            found.append(f"These runs do not tell {' and '.join(lost)}: it would take more sizes, or longer runs")
        return found


def page(found: Findings) -> str:
    """The whole file; every value is escaped."""
    from markupsafe import Markup

    words = {"short": short, "power": power, "three": "{:.3f}".format, "four": "{:.4g}".format}
    drawn = {
        "fitted": figures.fitted(found.fit),
        "residuals": figures.residuals(found.fit),
    }
    if found.allocations:
        drawn |= {
            name: draw(found.fit, found.allocations) for name, draw in (("frontier", figures.frontier), ("isoflops", figures.isoflops))
        }
    figured = {name: Markup(svg) for name, svg in drawn.items()}
    return template("page.html", "scaling").render(**_said(found), **words, figures=figured)


def _headline(found: Findings) -> tuple[str, str]:
    """What a larger budget should give, in a line and in a paragraph."""
    if not found.allocations:
        reasons = list(dict.fromkeys(why for _, why in found.dropped))
        return "These runs show no best size.", "".join(f"{why[0].upper()}{why[1:]}. " for why in reasons).rstrip()
    largest = found.fit.observations.flops.max()
    last = next((a for a in reversed(found.allocations) if a.flops < 11 * largest), found.allocations[0])  # not the one furthest out
    best = f"a model of {short(last.parameters[0])} parameters on {short(last.tokens[0])} tokens"
    lead = f"The best use of this budget, {last.flops / largest:.3g} times the operations of the largest run, is {best}."
    if last.loss[1] == last.loss[1]:
        lead += f" Such a run would measure between {last.loss[1]:.2f} and {last.loss[2]:.2f}, 19 times in 20, if the law holds so far out."
    return f"{power(last.flops)} FLOPs should reach {last.loss[0]:.2f} nats a token.", lead


def _said(found: Findings) -> dict[str, Any]:
    o, (headline, lead) = found.fit.observations, _headline(found)
    expected = loss(found.fit.law, found.fit.theta, o.parameters, o.tokens)
    return {
        "name": o.name,
        "law": found.fit.law,
        "headline": headline,
        "lead": lead,
        "numbers": _numbers(found),
        "coefficients": found.coefficients,
        "samples": len(found.fit.samples),
        "allocations": found.allocations,
        "predictions": found.predictions,
        "believed": found.believed,
        "warnings": found.warnings,
        "quarantined": o.quarantined,
        "runs": list(zip(o.labels, o.parameters, o.tokens, o.loss, expected, strict=True)),
        "command": found.command,
        "modelwright": modelwright.__version__,
    }


def _numbers(found: Findings) -> list[tuple[str, str]]:
    o = found.fit.observations
    told = [
        (str(len(o.loss)), f"runs, of {len(set(o.parameters))} sizes"),
        (f"{short(o.parameters.min())} – {short(o.parameters.max())}", "parameters"),
        (f"{short(o.tokens.min())} – {short(o.tokens.max())}", "training tokens"),
        (f"{100 * np.median(np.abs(np.expm1(found.fit.residuals))):.2g} %", "median distance from the law"),
    ]
    if found.allocations:
        slope = float(np.diff(found.fit.law.log_optimum(found.fit.theta, np.array([1e20, 1e21])))[0] / np.log(10))
        told.append((f"C^{slope:.2f}", "how the best size grows with a budget C"))
    return told
