"""What quantizing has done to a model: a page of its own, and figures of several quantized models beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import modelwright
from modelwright_plugins.report.svg import BASELINE, INK, MODEL, MUTED, figure
from modelwright_plugins.report.template import megabytes, share, template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAYERS = 40  # at most, in the figure; the table has all
COLUMN, GAP = 0.07, 0.045  # of the figure's width: neighbours so near share a column of names; of its height: between names

SAME = 1e-4  # of a loss: so near each other are those of one model in two layouts


def page(found: Mapping[str, Any], recipe: str | None) -> str:
    """The whole file, from the contents of quantization.json."""
    from markupsafe import Markup

    size, text = found["bytes"], found["held_out"]
    whole = size["matrices"] + size["others"]
    numbers = [
        (f"{found['bits']:.2f}", "bits a weight of its matrices, scales and all"),
        (share(whole / size["before"]), "of its bytes before, each as it is saved"),
    ]
    if text:
        numbers.append((f"{text['kl']:.3g}", "nats from the original's next token, a token (KL)"))
        numbers.append((share(text["agreement"]), "of tokens where both hold the same one likeliest"))
    return template("quantization.html").render(
        recipe=recipe or "a run without a recipe",
        name=found["quantizer"]["name"],
        settings=[*found["quantizer"]["fields"].items()],
        headline=f"{megabytes(whole)}, of {megabytes(size['before'])} before.",
        lead=_lead(found),
        numbers=numbers,
        figure=Markup(by_layer(found["layers"])),
        layers=found["layers"],
        scores=found["scores"],
        modelwright=modelwright.__version__,
    )


def _lead(found: Mapping[str, Any]) -> str:
    if not (text := found["held_out"]):
        return "This model gives no likelihood of a next token: only its matrices are compared."
    change = text["quantized"] - text["original"]
    told = f"{text['original']:.4f} nats a token before, {text['quantized']:.4f} after ({change:+.4f})"
    return f"On {int(text['tokens']):,} tokens of held-out text it needs {told}."


def by_layer(layers: Sequence[Mapping[str, Any]]) -> str:
    """SQNR of each layer's outputs and of its matrix; of many layers, those with the least."""
    rows = sorted(layers, key=lambda row: _least(row))[:LAYERS]
    rows = [row for row in layers if row in rows][::-1]

    def draw(axes: Axes) -> None:
        axes.grid(axis="y", visible=False)
        for key, colour, name in (("weight_sqnr", BASELINE, "of the matrix"), ("output_sqnr", MODEL, "of its outputs")):
            known = [(row[key], place) for place, row in enumerate(rows) if row[key] is not None]
            if known:
                axes.plot(*zip(*known, strict=True), "o", color=colour, markersize=6, label=name)
        axes.set_yticks(range(len(rows)), [_short(row["name"]) for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("signal over quantization noise, dB (more is better)")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    told = f"Signal over quantization noise of {len(rows)} layers. The table has the numbers."
    return figure("layers", 1.2 + 0.27 * len(rows), told, draw)


def against_bits(models: Sequence[tuple[str, Mapping[str, Any]]], key: str = "loss") -> str:
    """Bits a weight against what quantizing costs, a point for each of several quantized models of one: (name, quantization.json)."""
    known = [(name, found) for name, found in models if found["held_out"]]
    if not known:
        return ""
    first = known[0][1]["held_out"]["original"]
    if key == "kl":  # of another model, one that was trained with rounding say, it is from something else
        known = [(name, found) for name, found in known if math.isclose(found["held_out"]["original"], first, rel_tol=SAME)]
    points = [(name, found["bits"], _cost(found["held_out"], key)) for name, found in known]
    sign, label = {
        "loss": ("loss", "loss on held-out text, nats a token (less is better)"),
        "kl": ("divergence", "KL from the original, nats a token (less is better)"),
    }[key]

    def draw(axes: Axes) -> None:
        if key == "loss":
            axes.axhline(first, color=MUTED, linewidth=1.1, dashes=(4, 2))
            axes.annotate("not quantized", (1, first), (0, -4), xycoords=("axes fraction", "data"), textcoords="offset points",
                          ha="right", va="top", color=MUTED, fontsize=9)  # fmt: skip
        elif min(value for *_, value in points) > 0:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.plot([bits for _, bits, _ in points], [value for *_, value in points], "o", color=MODEL, markersize=7)
        axes.margins(x=0.14, y=0.1)
        _name(axes, points)
        axes.set_xlabel("bits a weight, scales and all")
        axes.set_ylabel(label)

    rows = "; ".join(f"{name} {bits:.2f} bits, {sign} {value:.3g}" for name, bits, value in points)
    return figure(f"bits-{key}", 4.2, f"Bits a weight against {label}: {rows}.", draw, width=7.4)


def _name(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each point's name to its right: of points nearly above one another, names with a gap between them and a line to each."""
    axes.autoscale_view()
    place = axes.transData + axes.transAxes.inverted()
    at = sorted((*place.transform((bits, value)), name) for name, bits, value in points)
    columns: list[list[tuple[float, float, str]]] = []
    for each in at:
        if columns and each[0] - columns[-1][-1][0] < COLUMN:
            columns[-1].append(each)
        else:
            columns.append([each])
    for column in columns:
        wide, last = max(x for x, *_ in column) + 0.02, -1.0
        for x, y, name in sorted(column, key=lambda each: each[1]):
            last = max(y, last + GAP)
            line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
            axes.annotate(name, (x, y), (wide, last), xycoords="axes fraction", textcoords="axes fraction", va="center",
                          color=INK, fontsize=9, arrowprops=line)  # fmt: skip


def _cost(text: Mapping[str, float], key: str) -> float:
    return text["quantized"] if key == "loss" else text["kl"]


def _least(row: Mapping[str, Any]) -> float:
    return min((row[key] for key in ("output_sqnr", "weight_sqnr") if row[key] is not None), default=float("inf"))


def _short(name: str) -> str:
    """decoder.layers.3.self_attention.linear_qkv -> 3 qkv; what could be taken for another is named, too: 3 cross proj, 3 shared fc1."""
    parts = name.split(".")
    words = {"encoder": "encoder", "cross_attention": "cross", "shared_experts": "shared", "local_experts": "expert"}
    return " ".join([*(words.get(part, part) for part in parts[:-1] if part in words or part.isdigit()), parts[-1].removeprefix("linear_")])
