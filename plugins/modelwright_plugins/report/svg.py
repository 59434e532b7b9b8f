"""Figures as SVG that takes its colours and its typeface from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib wants real colours: each stands for a variable of the page's style, which differs between light and dark.
INK, MUTED, RULE, MODEL, BASELINE, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
LEVELS = [f"#07070{level}" for level in range(8)]  # from the best of several runs to the worst: pages that draw them define --level-0 to 7
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", MODEL: "--model", BASELINE: "--baseline", PAPER: "--paper"}
VARIABLES |= {colour: f"--level-{level}" for level, colour in enumerate(LEVELS)}
WIDTH = 5.6  # inches of 72 units: as wide as half a laptop's page or a whole phone's, so that text stays legible on both

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def figure(name: str, height: float, told: str, draw: Callable[[Axes], None], width: float = WIDTH) -> str:
    """An `<svg>` of `height` and `width` inches that `draw` fills. `name` is unique in the page, `told` says in words what it shows."""
    import matplotlib
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # it measures with its own font; the browser has others
        sheet = Figure(figsize=(width, height), layout="constrained")
        axes = sheet.add_subplot()
        axes.patch.set_alpha(0)
        sheet.patch.set_alpha(0)
        draw(axes)
        sheet.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(out.getvalue(), name, told)


def _inlined(svg: str, name: str, told: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg {names} {box[0]} role="img" aria-label="{escape(told)}">'
    svg = head + svg[svg.index(">") + 1 :]
    # Several figures share a page: their ids must not.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", svg)


def standalone(svg: str) -> str:
    """A figure as a file of its own, which brings the colours of the pages' style: in the light, and in the dark."""
    from importlib.resources import files

    style = files("modelwright_plugins.report").joinpath("style.html").read_text(encoding="utf-8")
    light, dark = (_colours(block) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2])
    rules = f"svg {{ {light} background: var(--paper); font-family: system-ui, sans-serif; }}"
    head = svg.index(">") + 1
    return f"{svg[:head]}<style>{rules} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>{svg[head:]}\n"


def _colours(block: str) -> str:
    """Of the declarations in a block of the style, those of colours that figures are drawn in."""
    return " ".join(f"{name}: {value};" for name, value in re.findall(r"(--[\w-]+): ([^;]+);", block) if name in VARIABLES.values())
