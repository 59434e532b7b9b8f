"""The figures of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelwright_plugins.report.svg import BASELINE, INK, MODEL, MUTED, PAPER, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 300  # at most, in a curve: more can't be seen and only make the page heavy
GROUPS = 24  # at most, in the figure; the table has all


def comparison(evaluation: Mapping[str, Any]) -> str:
    """Bits per byte of the model and of each n-gram model."""
    model, baselines = evaluation["model"]["bits_per_byte"], evaluation["baselines"]
    names = list(dict.fromkeys(b["name"] for b in sorted(baselines, key=lambda b: b["order"])))
    value = {(b["name"], b["fitted_on"]): b["bits_per_byte"] for b in baselines}

    def draw(axes: Axes) -> None:
        axes.grid(axis="y", visible=False)
        axes.axvline(model, color=MODEL, linewidth=1, alpha=0.5)
        for row, name in enumerate(names):
            seen, every = value[name, "seen"], value[name, "all"]
            axes.plot([every, seen], [row, row], color=BASELINE, linewidth=1.2, zorder=1)
            axes.plot(every, row, "o", color=BASELINE, markerfacecolor=PAPER, markersize=8)
            axes.plot(seen, row, "o", color=BASELINE, markersize=8)
            axes.annotate(f"{seen:.2f}", (max(seen, every), row), (9, 0), textcoords="offset points", va="center", color=MUTED)
        axes.plot(model, len(names), "o", color=MODEL, markersize=11)
        axes.annotate(f"{model:.2f}", (model, len(names)), (11, 0), textcoords="offset points", va="center", color=MODEL, weight="bold")
        axes.set_yticks(range(len(names) + 1), [*names, "this model"])
        axes.get_yticklabels()[-1].set(color=MODEL, weight="bold")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.6, len(names) + 0.6)
        axes.margins(x=0.12)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("bits per byte of held-out text (less is better)")

    rows = "; ".join(f"{name} {value[name, 'seen']:.2f} on what the model saw, {value[name, 'all']:.2f} on all text" for name in names)
    return figure("comparison", 3.3, f"Bits per byte of held-out text: this model {model:.2f}; {rows}.", draw)


def curve(metrics: Sequence[Mapping[str, Any]], key: str, label: str, marks: Mapping[str, float] | None = None) -> str:
    """A metric over steps; `marks` are levels to compare it with. Steps where it is not a number are left out."""
    rows = [(row["step"], row[key]) for row in metrics if row.get(key) is not None]
    if not rows:
        return ""
    steps, values = _thinned(rows)
    marks = marks or {}

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import EngFormatter

        axes.plot(steps, values, color=MODEL)
        lowest = min([*values, *marks.values()])
        for above, (name, level) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
            axes.axhline(level, color=INK, linewidth=1.1, dashes=(4, 2) if above else (1, 2))
            # Their names stand above and below all that is drawn near the end, where curves of losses are flat.
            at, va = (level + 0.04 * (max(values) - lowest), "bottom") if above else (lowest - 0.06 * (max(values) - lowest), "top")
            axes.text(steps[-1], at, f"{name} {level:.2f}", ha="right", va=va, color=INK, fontsize=10.5)
        if marks:
            axes.set_ylim(bottom=lowest - 0.2 * (max(values) - lowest))
        if key in {"lr", "tokens_per_second"}:
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(EngFormatter(sep="") if key == "tokens_per_second" else "{x:.2g}")
        axes.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
        axes.set_xlabel("step")

    compared = "".join(f"; {name} {level:.2f}" for name, level in marks.items())
    told = f"{label} over {metrics[-1]['step']:,} steps: {values[0]:.3g} at first, {values[-1]:.3g} at last{compared}."
    return figure(key.replace("_", "-"), 2.9, told, draw)


def by_group(groups: Sequence[Mapping[str, Any]]) -> str:
    """Bits per byte of the model and of the trigram on each of the largest groups, the easiest on top."""
    largest = sorted((g for g in groups if g["bytes"]), key=lambda g: -g["bytes"])[:GROUPS]
    rows = sorted(largest, key=lambda g: -g["bits_per_byte"]["model"])

    def draw(axes: Axes) -> None:
        axes.grid(axis="y", visible=False)
        for place, row in enumerate(rows):
            model, trigram = row["bits_per_byte"]["model"], row["bits_per_byte"]["trigram"]
            axes.plot([model, trigram], [place, place], color=BASELINE, linewidth=1.2, zorder=1)
            axes.plot(trigram, place, "o", color=BASELINE, markersize=6)
            axes.plot(model, place, "o", color=MODEL, markersize=7)
        axes.set_yticks(range(len(rows)), [_short(row["group"]) for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("bits per byte (less is better)")

    better = sum(row["bits_per_byte"]["model"] < row["bits_per_byte"]["trigram"] for row in rows)
    told = (
        f"Bits per byte of each held-out group: the model is better than the trigram on {better} of {len(rows)}. The table has the numbers."
    )
    return figure("groups", 0.9 + 0.27 * len(rows), told, draw)


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _thinned(rows: Sequence[tuple[int, float]]) -> tuple[list[float], list[float]]:
    """Means of equal stretches, at most POINTS of them."""
    size = -(-len(rows) // POINTS)
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    return [sum(s for s, _ in part) / len(part) for part in parts], [sum(v for _, v in part) / len(part) for part in parts]
