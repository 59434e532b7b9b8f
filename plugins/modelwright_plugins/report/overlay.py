"""The figures of a comparison: many runs in each, every one to be found by its number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from modelwright_plugins.report.comparison import Comparison, Objective, number, told
from modelwright_plugins.report.runs import Ran
from modelwright_plugins.report.scale import Scale, scale
from modelwright_plugins.report.svg import BASELINE, INK, LEVELS, MUTED, PAPER, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 16_000  # of all curves of a page together, at most; each has 60 to 300
AXES = 10  # of parallel coordinates, and figures of a key against the metric: more can't be read
SPREAD, GOLDEN = 0.07, 0.618  # of an axis: how far runs are moved apart that share one of few values; a step that fills it evenly
NAMED = 3  # curves whose names are written at their ends


@dataclass(frozen=True)
class Drawn:
    """A comparison, with what its figures need of each run."""

    found: Comparison
    number: Mapping[str, int]  # run's name -> its place in the table, which names it in every figure
    level: Mapping[str, int]  # run's name -> 0 (best) to 7, for the runs that have the metric
    told: Mapping[str, str]  # run's name -> what a figure says when it is pointed at

    def colour(self, run: Ran) -> str:
        return LEVELS[self.level[run.name]] if run.name in self.level else BASELINE

    def finish(self, svg: str) -> str:
        """Name the groups that were drawn with `gid=run-3`, so that the page can find and light them up."""
        names = {number: name for name, number in self.number.items()}

        def named(m: re.Match[str]) -> str:
            return f'<g class="run" data-run="{m[1]}"><title>{escape(self.told[names[int(m[1])]])}</title>'

        return re.sub(r'<g id="[\w-]*?-?run-(\d+)">', named, svg)


def levels(found: Comparison) -> dict[str, int]:
    """Runs by their place among those that have the first objective: 0 the best eighth. Without an objective, by their order."""
    ranked = sorted((r for r in found.runs if found.objectives[0].has(r)), key=found.objectives[0].cost) if found.objectives else found.runs
    last = max(len(ranked) - 1, 1)
    return {run.name: round(place / last * (len(LEVELS) - 1)) for place, run in enumerate(ranked)}


def curves(drawn: Drawn) -> str:
    """Training losses over tokens (over steps, when a run does not tell its tokens); empty when no run has any."""
    runs = [run for run in drawn.found.runs if run.curve]
    if not runs:
        return ""
    tokens = all(row[1] is not None for run in runs for row in run.curve)
    most = min(300, max(60, POINTS // len(runs)))
    lines = {
        run.name: thinned([(told if tokens and told is not None else step, loss) for step, told, loss in run.curve], most) for run in runs
    }
    highest = ceiling([[y for _, y in line] for line in lines.values()])
    lowest = min(y for line in lines.values() for _, y in line)

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import EngFormatter

        for run in reversed(runs):  # the best on top
            best = run.name in drawn.found.front
            x, y = zip(*lines[run.name], strict=True)
            dashes = (None, None) if run.status == "finished" else (3, 1.5)
            width = 2.8 if best else 1.1
            axes.plot(x, y, color=drawn.colour(run), linewidth=width, dashes=dashes, gid=f"run-{drawn.number[run.name]}")
        axes.set_ylim(lowest - 0.04 * (highest - lowest), highest)
        axes.set_xlabel("tokens trained on" if tokens else "step")
        axes.set_ylabel("training loss, nats a token")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        named = runs if len(runs) <= 8 else runs[:NAMED]
        ends = {run.name: min(lines[run.name][-1][1], highest) for run in named}
        right = max(line[-1][0] for line in lines.values())
        for name, at in apart(ends, 0.045 * (highest - lowest)).items():
            axes.annotate(
                name,
                (right, at),
                (5, 0),
                textcoords="offset points",
                va="center",
                color=INK,
                fontsize=9,
                weight="bold" if name == runs[0].name else "normal",
            )

    ends = ", ".join(f"{run.name} ends at {lines[run.name][-1][1]:.3g}" for run in runs[:NAMED])
    return drawn.finish(
        figure("curves", 4.6, f"Training loss of {len(runs)} runs over {'tokens' if tokens else 'steps'}: {ends}.", draw, 8.6)
    )


def parallel(drawn: Drawn) -> str:
    """A line a run through its settings to its metrics, the best on top; empty when nothing differs or nothing was measured."""
    found = drawn.found
    keys, runs = found.keys[:AXES], [run for run in found.runs if any(key in run.settings for key in found.keys)]
    if not keys or not found.measured:
        return ""
    axis = [(key, _by_key(found, key), {run.name: run.settings[key] for run in runs if key in run.settings}) for key in keys]
    axis += [(o.metric, _by_metric(o, found.measured), {r.name: r.metrics[o.metric] for r in found.measured}) for o in found.objectives]

    width = max(8.6, 1.15 * len(axis) + 0.5)
    letters = int(width * 72 / len(axis) / 6.5)  # that fit beside one another

    def draw(axes: Axes) -> None:
        axes.axis("off")
        axes.set(xlim=(-0.35, len(axis) - 0.35), ylim=(-0.06, 1.2))
        for at, (name, along, _) in enumerate(axis):
            axes.plot([at, at], [0, 1], color=MUTED, linewidth=1)
            prefix, _, last = name.rpartition(".")
            metric = at >= len(keys)
            axes.text(at, 1.16, _short(f"{prefix}.", letters) if prefix else "", ha="center", va="bottom", color=MUTED, fontsize=8.5)
            axes.text(
                at, 1.08, _short(last, letters), ha="center", va="bottom", color=INK, fontsize=10.5, weight="bold" if metric else "normal"
            )
            for place, label in along.ticks:
                axes.text(at + 0.05, place, _short(label), ha="left", va="center", color=INK, fontsize=9, zorder=9,
                          bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8})  # fmt: skip
        for run in reversed(runs):
            spread = SPREAD * (0.5 - drawn.number[run.name] / len(found.runs))
            points = [
                (at, along.place(values[run.name]) + (spread if along.shared and at < len(keys) else 0))
                for at, (_, along, values) in enumerate(axis)
                if run.name in values
            ]
            x, y = zip(*points, strict=True)
            best, known = run.name in found.front, run.name in drawn.level
            axes.plot(x, y, color=drawn.colour(run), linewidth=2.8 if best else 1.2, dashes=(None, None) if known else (2, 2),
                      gid=f"run-{drawn.number[run.name]}")  # fmt: skip

    best = found.runs[0]
    through = ", ".join(f"{name} {_short(found_value)}" for name, found_value in drawn_settings(best, keys))
    words = f"Parallel coordinates of {len(runs)} runs: {', '.join(keys)}, then {' and '.join(map(str, found.objectives))}."
    words += f" The best: {through}."
    return drawn.finish(figure("parallel", 3.9, words, draw, width))


def against(drawn: Drawn) -> list[tuple[str, str, str]]:
    """(key, kind of its axis, figure of the metric over it) for each setting that differs among the runs that have the metric."""
    found = drawn.found
    figures: list[tuple[str, str, str]] = []
    for place, key in enumerate(found.keys):
        runs = [run for run in found.measured if key in run.settings]
        if len({str(run.settings[key]) for run in runs}) > 1 and len(figures) < AXES:
            along = _by_key(found, key)
            figures.append((key, along.name, _scatter(drawn, f"key-{place}", runs, key, along)))
    return figures


def fronts(drawn: Drawn) -> str:
    """The first two objectives against each other, with the Pareto front; empty when there is one objective."""
    if len(drawn.found.objectives) < 2 or not drawn.found.measured:
        return ""
    over = drawn.found.objectives[1]
    along = _plain(over, drawn.found.measured)
    return _scatter(drawn, "front", drawn.found.measured, over.metric, along, front=True)


def _scatter(drawn: Drawn, name: str, runs: Sequence[Ran], key: str, along: Scale, *, front: bool = False) -> str:
    objective = drawn.found.objectives[0]
    up = _plain(objective, drawn.found.measured)
    at = {
        run.name: (along.place(run.metrics[key] if front else run.settings[key]), up.place(run.metrics[objective.metric])) for run in runs
    }

    def draw(axes: Axes) -> None:
        if front:
            axes.plot(
                *zip(*sorted(at[run.name] for run in runs if run.name in drawn.found.front), strict=True),
                color=INK,
                linewidth=1,
                dashes=(3, 2),
                zorder=1,
            )
        for run in reversed(runs):
            best, (x, y) = run.name in drawn.found.front, at[run.name]
            aside = SPREAD * (drawn.number[run.name] * GOLDEN % 1 - 0.5) if along.shared and not best and len(runs) > 12 else 0
            axes.plot(x + aside, y, "o", color=drawn.colour(run), markersize=10 if best else 6, markeredgecolor=INK if best else PAPER,
                      markeredgewidth=1.4 if best else 0.5, gid=f"run-{drawn.number[run.name]}")  # fmt: skip
        axes.set_xlim(-0.08, 1.08)
        axes.set_ylim(-0.08, 1.08)
        axes.set_xticks([place for place, _ in along.ticks], [_short(label) for _, label in along.ticks])
        axes.set_yticks([place for place, _ in up.ticks], [label for _, label in up.ticks])
        if sum(len(_short(label)) for _, label in along.ticks) > 34:
            axes.tick_params(axis="x", rotation=30)
        axes.set_xlabel(key)
        axes.set_ylabel(objective.metric)

    best = next(run for run in drawn.found.runs if run.name in drawn.found.front)
    words = f"{objective.metric} over {key} of {len(runs)} runs; the best, {best.name}, has {number(best.metrics[objective.metric])}."
    return drawn.finish(figure(name, 3.1, words, draw, 4.4))


def drawn_settings(run: Ran, keys: Sequence[str]) -> list[tuple[str, str]]:
    """The settings of a run, as text, among these keys."""
    return [(key, told(run.settings[key])) for key in keys if key in run.settings]


def thinned(rows: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Means of equal stretches, at most so many; the last stretch may be shorter."""
    size = -(-len(rows) // most)
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def ceiling(losses: Sequence[Sequence[float]]) -> float:
    """The top of the axis: the highest loss, unless one blew up, which would hide all others: then a little above where they began."""
    highest, began, lowest = max(map(max, losses)), max(line[0] for line in losses), min(map(min, losses))
    if highest > 1.5 * began:
        return began + 0.15 * (began - lowest) if began > lowest else 1.5 * began
    return highest + 0.02 * (highest - lowest) if highest > lowest else highest + 0.1


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """The same places, each moved up until it is `least` above the one below it."""
    found: dict[str, float] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        found[name] = max(place, max(found.values()) + least) if found else place
    return found


def _by_key(found: Comparison, key: str) -> Scale:
    return scale([run.settings[key] for run in found.runs if key in run.settings])


def _by_metric(objective: Objective, runs: Sequence[Ran]) -> Scale:
    """With the best on top."""
    return scale([run.metrics[objective.metric] for run in runs], turned=not objective.maximize)


def _plain(objective: Objective, runs: Sequence[Ran]) -> Scale:
    return scale([run.metrics[objective.metric] for run in runs])


def _short(text: str, most: int = 14) -> str:
    """The beginning and the end of a long text: names and paths often differ at the end."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[most // 2 + 1 - most :]}"
