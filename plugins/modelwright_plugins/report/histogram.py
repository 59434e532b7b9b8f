"""A histogram with its thresholds drawn in, as SVG written by hand: a page has dozens, of some 2 kB each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from itertools import pairwise
from typing import Any

from modelwright_plugins.report.template import share

WIDTH, HEIGHT = 320, 138
LEFT, RIGHT, TOP, BOTTOM = 8, 312, 24, 112  # of the bars
ZERO = 22  # units for the bin of zeros, which a logarithmic axis has no place for
LEAST = 0.8  # units that a bar with a document in it is high


def svg(name: str, found: Mapping[str, Any]) -> str:
    """`found` is as `stage/_histogram.py` makes it. Bars are documents that stayed; those that went stand on them, paler, outlined."""
    at = _Axis(found)
    highest = max(map(sum, zip(found["kept"], found["dropped"], strict=True)))
    kept, dropped = [], []
    for (begin, end), stay, gone in zip(pairwise(found["edges"]), found["kept"], found["dropped"], strict=True):
        x, width = at(begin), max(at(end) - at(begin) - 0.6, 0.8)
        whole = (BOTTOM - TOP) * math.sqrt((stay + gone) / highest)  # by the root: what a threshold cuts off is the thin end
        below = max(whole * stay / (stay + gone), LEAST) if stay else 0.0
        if stay:
            kept.append(_bar(x, BOTTOM, width, below))
        if gone:
            dropped.append(_bar(x, BOTTOM - below, width, max(whole - below, LEAST)))
    parts = [_ground(at, found)]
    parts += [f'<path class="stay" d="{"".join(kept)}"/>'] if kept else []
    parts += [f'<path class="drop" d="{"".join(dropped)}"/>'] if dropped else []
    parts += [f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>', *_ticks(at), *_limits(at, found)]
    label = escape(told(name, found), quote=True)
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def told(name: str, found: Mapping[str, Any]) -> str:
    """In words, what the figure shows."""
    limits = " and ".join(
        f"{word} {number(found[key])}" for key, word in (("least", "at least"), ("most", "at most")) if found[key] is not None
    )
    many = sum(found["kept"]) + sum(found["dropped"])
    spread = f"from {number(found['lowest'])} to {number(found['highest'])}, half of them up to {number(found['median'])}"
    rule = f" Allowed: {limits}; {share(found['outside'])} are outside." if limits else " No threshold."
    return f"{name} of {many:,} documents: {spread}.{rule}"


def number(value: float) -> str:
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class _Axis:
    """Value -> where it is, in units from the left."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        edges = found["edges"]
        self.log, self.whole = found["scale"] == "log", found["scale"] == "whole"
        self.zero = self.log and edges[0] == 0
        self.first, self.last = edges[1] if self.zero else edges[0], edges[-1]
        self.left = LEFT + (ZERO if self.zero else 0)

    def __call__(self, value: float) -> float:
        if self.log and value < self.first:
            return LEFT
        low, high, here = (math.log(v) if self.log else v for v in (self.first, self.last, min(value, self.last)))
        way = (here - low) / (high - low) if high > low else 0.5  # logarithms of neighbours may be one number
        return round(self.left + (RIGHT - self.left) * way, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers, and zero where it has a bin."""
        zero = [(LEFT + ZERO / 3, "0")] if self.zero else []
        if self.log:
            decades = range(math.floor(math.log10(self.first)), math.ceil(math.log10(self.last)) + 1)
            digits = (1,) if self.last > 150 * self.first else (1, 2, 5)
            every = [digit * 10.0**power for power in decades for digit in digits]
        else:
            rough = max((self.last - self.first) / 5, 1.0 if self.whole else 0.0)
            size = 10.0 ** math.floor(math.log10(rough))
            step = size * next(n for n in (1, 2, 5, 10) if n * size >= rough * 0.999)
            every = [step * n for n in range(math.ceil(self.first / step), math.floor(self.last / step) + 1)]
        within = [(self(value), _short(value)) for value in every if self.first <= value <= self.last]
        return zero + [tick for tick in within if not zero or tick[0] - 3 * len(tick[1]) > zero[0][0] + 8]


def _short(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _bar(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:g} {y:.1f}v-{height:.1f}h{width:.1f}v{height:.1f}z"


def _ticks(at: _Axis) -> list[str]:
    drawn = []
    for x, text in at.ticks():
        anchor = "start" if x < LEFT + 12 else "end" if x > RIGHT - 12 else "middle"
        drawn.append(
            f'<path class="axis" d="M{x:g} {BOTTOM}v4"/><text class="tick" x="{x:g}" y="{BOTTOM + 17}" text-anchor="{anchor}">{text}</text>'
        )
    return drawn


def _places(at: _Axis, found: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    """("least" | "most", the bound, where it is; None: beyond what is drawn)."""
    places: list[tuple[str, float, float | None]] = []
    for key in ("least", "most"):
        bound = found[key]
        if bound is None:
            continue
        # Whole numbers have bars around them: the line stands between the last that is allowed and the next.
        line = bound if found["scale"] != "whole" else math.ceil(bound) - 0.5 if key == "least" else math.floor(bound) + 0.5
        inside = found["edges"][0] <= line <= found["edges"][-1] and (not at.zero or line >= at.first)
        places.append((key, bound, at(line) if inside else None))
    return places


def _ground(at: _Axis, found: Mapping[str, Any]) -> str:
    """What is outside of the bounds, shaded."""
    drawn = []
    for key, _, x in _places(at, found):
        if x is not None:
            begin, end = (LEFT, x) if key == "least" else (x, RIGHT)
            drawn.append(f'<path class="outside" d="M{begin:g} {TOP}H{end:g}V{BOTTOM}H{begin:g}z"/>')
    return "".join(drawn)


def _limits(at: _Axis, found: Mapping[str, Any]) -> list[str]:
    drawn = []
    for key, bound, x in _places(at, found):
        text, y = f"{key} {number(bound)}", 10 if key == "most" else 20  # side by side they would run into each other
        if x is None:
            below = bound < found["edges"][0] or (at.zero and bound < at.first)
            x, anchor, text = (LEFT, "start", f"← {text}") if below else (RIGHT, "end", f"{text} →")
        else:
            drawn.append(f'<path class="limit" d="M{x:g} {y - 8}V{BOTTOM}"/>')
            # The words stand over what is allowed, unless there is no room for them.
            anchor = "end" if x > RIGHT - 80 or (key == "most" and x > LEFT + 80) else "start"
            x += 4 if anchor == "start" else -4
        drawn.append(f'<text class="said" x="{x:g}" y="{y}" text-anchor="{anchor}">{text}</text>')
    return drawn
