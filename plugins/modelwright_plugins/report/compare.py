"""From a comparison of runs to its page."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
import statistics
from typing import Any

import modelwright
from modelwright_plugins.report import overlay
from modelwright_plugins.report.comparison import Comparison, number, told
from modelwright_plugins.report.runs import Ran
from modelwright_plugins.report.template import duration, template

SCRIPT = "compare_script.html"


def page(found: Comparison) -> str:
    """The whole file. Every value of a run is escaped, and only the page's own script may run: its hash is in the policy."""
    script = template(SCRIPT).render()
    code = re.search(r"<script>(.*)</script>", script, re.DOTALL)
    assert code
    digest = base64.b64encode(hashlib.sha256(code[1].encode()).digest()).decode()
    return template("compare.html").render(**_said(found), script=SCRIPT, digest=digest)


def _said(found: Comparison) -> dict[str, Any]:
    from markupsafe import Markup

    drawn = overlay.Drawn(
        found=found,
        number={run.name: place for place, run in enumerate(found.runs)},
        level=overlay.levels(found),
        told={run.name: _line(run, found) for run in found.runs},
    )
    return {
        "title": found.folder.resolve().name,
        "headline": _headline(found),
        "lead": f"{_lead(found)} {found.caution}".strip(),
        "numbers": _numbers(found),
        "columns": _columns(found),
        "rows": [_row(run, drawn) for run in found.runs],
        "ends": _ends(found),
        "coloured": found.objectives[0].metric if found.objectives else "order of the runs",
        "several": len(found.objectives) > 1,
        "objectives": [str(objective) for objective in found.objectives],
        "figures": {
            "curves": Markup(overlay.curves(drawn)),
            "parallel": Markup(overlay.parallel(drawn)),
            "front": Markup(overlay.fronts(drawn)),
            "keys": [(key, kind, Markup(svg)) for key, kind, svg in overlay.against(drawn)],
        },
        "axes": overlay.AXES,
        "keys": found.keys,
        "undrawn": sum(not run.curve for run in found.runs),
        "unfinished": [(run.name, run.status, run.error or "", _overrides(run)) for run in found.unfinished],
        "sometimes": _sometimes(found),
        "facts": _facts(found),
        "modelwright": modelwright.__version__,
    }


def _headline(found: Comparison) -> str:
    many = f"{len(found.runs)} runs" if len(found.runs) != 1 else "1 run"
    if not found.measured:
        return f"{many}, side by side"
    if len(found.objectives) > 1:
        return f"{len(found.front)} of {many} {'is' if len(found.front) == 1 else 'are'} on the Pareto front"
    if len(found.runs) == 1:
        return f"{_called(found.runs[0])} alone"
    return f"Best of {many}: {_called(found.runs[0])}"


def _called(run: Ran) -> str:
    return f"run {run.name}" if run.name.isdigit() else run.name


def _lead(found: Comparison) -> str:
    if not found.measured:
        return "No run has a number to sort by." if not found.objectives else f"No run has {found.objectives[0].metric}."
    best, objective = found.measured[0], found.objectives[0]
    settings = ", ".join(f"{key} {value}" for key, value in overlay.drawn_settings(best, found.keys[:4]))
    reached = " and ".join(f"{each.metric} {number(best.metrics[each.metric])}" for each in found.objectives)
    said = f"{'Run ' if best.name.isdigit() else ''}{best.name} has {reached}" + (f", with {settings}." if settings else ".")
    if len(found.objectives) > 1:
        said = f"Of these, with the {objective}: {said}"
    values = [run.metrics[objective.metric] for run in found.measured]
    if len(values) > 2:
        worst = min(values) if objective.maximize else max(values)
        said += f" The median {objective.metric} of {len(values)} is {number(statistics.median(values))}, the worst {number(worst)}."
    return said


def _numbers(found: Comparison) -> list[tuple[str, str]]:
    ended = [run.status for run in found.runs]
    numbers = [(str(ended.count(status)), status) for status in dict.fromkeys(["finished", *ended]) if ended.count(status)]
    numbers.append((str(len(found.keys)), "setting differs" if len(found.keys) == 1 else "settings differ"))
    if seconds := sum(run.seconds for run in found.runs):
        numbers.append((duration(seconds), "of work in all; what runs took over from others is not counted"))
    return numbers


def _columns(found: Comparison) -> list[str]:
    labels = [*map(found.label, found.metrics)]
    return [*labels[: len(found.objectives)], *found.keys, *labels[len(found.objectives) :], "time"]


def _row(run: Ran, drawn: overlay.Drawn) -> dict[str, Any]:
    """Each cell as (text, what to sort it by): a number sorts as one."""
    found = drawn.found
    many = len(found.objectives)

    def measured(name: str) -> tuple[str, Any]:
        return (number(run.metrics[name]), run.metrics[name]) if name in run.metrics else ("–", "")

    settings = [(told(run.settings[key]), _sortable(run.settings[key])) if key in run.settings else ("–", "") for key in found.keys]
    cells = [*map(measured, found.metrics[:many]), *settings, *map(measured, found.metrics[many:])]
    cells.append((duration(run.seconds), run.seconds) if run.seconds else ("–", ""))
    return {
        "number": drawn.number[run.name],
        "name": run.name,
        "status": run.status,
        "level": drawn.level.get(run.name),
        "best": run.name in found.front,
        "said": drawn.told[run.name],
        "cells": cells,
    }


def _sortable(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else told(value)


def _line(run: Ran, found: Comparison) -> str:
    """A run in one line."""
    reached = [f"{each.metric} {number(run.metrics[each.metric])}" for each in found.objectives if each.has(run)]
    parts = [*(reached or [run.status]), *(f"{key} {value}" for key, value in overlay.drawn_settings(run, found.keys))]
    return f"{run.name}: {', '.join(parts)}"


def _ends(found: Comparison) -> tuple[str, str]:
    """What stands at the two ends of the scale of colours."""
    if not found.measured:
        return "first", "last"
    metric = found.objectives[0].metric
    values = sorted((run.metrics[metric] for run in found.runs if found.objectives[0].has(run)), reverse=found.objectives[0].maximize)
    return f"best, {number(values[0])}", f"{number(values[-1])}, worst"


def _sometimes(found: Comparison) -> list[tuple[str, str, str]]:
    """Setting, value, and which runs have it."""
    rows = []
    for key in found.sometimes:
        having = [run for run in found.runs if key in run.settings]
        named = ", ".join(run.name for run in having[:8]) + (f" and {len(having) - 8} more" if len(having) > 8 else "")
        rows.append((key, told(having[0].settings[key]), named))
    return rows


def _overrides(run: Ran) -> str:
    return " ".join(map(shlex.quote, run.overrides))


def _facts(found: Comparison) -> list[tuple[str, str]]:
    facts = [("folder", str(found.folder.resolve()))]
    if found.words:
        facts.insert(0, ("the sweep", f"modelwright run -m {' '.join(map(shlex.quote, found.words))}"))
    if found.measured and (best := found.runs[0]).overrides:
        facts.append(("the best again", f"modelwright run {_overrides(best)}"))
    return facts
