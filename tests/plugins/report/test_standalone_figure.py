"""A figure as a file of its own has the colours of the pages' style, and all of those that it is drawn in."""

from __future__ import annotations

import re
from importlib.resources import files
from xml.etree import ElementTree

from modelwright_plugins.report.svg import BASELINE, INK, MODEL, figure, standalone


def test_a_figure_alone_is_drawn_in_the_pages_colours():
    def draw(axes):
        axes.plot([0, 1], [0, 1], color=MODEL)
        axes.plot([0, 1], [1, 0], color=BASELINE)
        axes.text(0, 0, "a < b", color=INK)

    svg = standalone(figure("alone", 2.0, "two lines", draw))
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    (style,) = re.findall(r"<style>(svg .*?)</style>", svg)  # Matplotlib has one of its own
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    used = set(re.findall(r"var\((--\w+)\)", svg))
    page = files("modelwright_plugins.report").joinpath("style.html").read_text(encoding="utf-8")
    for name in used:
        assert f"{name}: " in light and f"{name}: " in dark, name
        for block in (light, dark):
            assert re.search(rf"{name}: #\w+;", block)[0] in page
    assert re.search(r"--paper: #fbfaf7;", light) and re.search(r"--paper: #14171a;", dark)
