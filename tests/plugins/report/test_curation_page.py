"""The page of a curation, and the part of a run's report that shows the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from example import curation, findings, step
from test_page import HOSTILE, Reader, replaced

from modelwright_plugins.report.curation import page, said
from modelwright_plugins.report.histogram import BOTTOM, LEFT, RIGHT, TOP, number, svg
from modelwright_plugins.report.page import page as report

GAP = "\N{NO-BREAK SPACE}"


def drawn(**changed: Any) -> tuple[ElementTree.Element, dict[str, list[ElementTree.Element]]]:
    """The figure of 100 documents of 1 to 4 words, one bin a word, and its parts by class."""
    found = {
        "least": 2.0,
        "most": None,
        "scale": "whole",
        "edges": [0.5, 1.5, 2.5, 3.5, 4.5],
        "kept": [0, 25, 0, 0],
        "dropped": [36, 0, 0, 39],
        "lowest": 1.0,
        "median": 3.0,
        "highest": 4.0,
        "outside": 0.36,
    }
    root = ElementTree.fromstring(svg("words", found | changed))
    parts: dict[str, list[ElementTree.Element]] = {}
    for part in root:
        parts.setdefault(part.get("class", ""), []).append(part)
    return root, parts


def bars(path: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """(left, bottom, width, height) of each."""
    found = re.findall(r"M([\d.]+) ([\d.]+)v-([\d.]+)h([\d.]+)v[\d.]+z", path.get("d", ""))
    return [(float(x), float(y), float(width), float(height)) for x, y, height, width in found]


def test_bars_stand_where_values_are_and_are_as_high_as_roots() -> None:
    root, parts = drawn()
    assert (
        root.get("aria-label") == f"words of 100 documents: from 1 to 4, half of them up to 3. Allowed: at least 2; 36{GAP}% are outside."
    )
    each, whole = (RIGHT - LEFT) / 4, BOTTOM - TOP
    ((x, y, width, height),) = bars(parts["stay"][0])
    assert (x, y) == (LEFT + each, BOTTOM) and width == pytest.approx(each - 0.6, abs=0.1)
    assert height == pytest.approx(whole * (25 / 39) ** 0.5, abs=0.1)
    first, last = bars(parts["drop"][0])
    assert first[0] == LEFT and first[3] == pytest.approx(whole * (36 / 39) ** 0.5, abs=0.1) and last[3] == pytest.approx(whole, abs=0.1)
    (limit,) = parts["limit"]
    assert limit.get("d") == f"M{LEFT + each:g} 12V{BOTTOM}"  # between the bar of 1 and that of 2
    assert parts["outside"][0].get("d") == f"M{LEFT} {TOP}H{LEFT + each:g}V{BOTTOM}H{LEFT}z"
    assert [tick.text for tick in parts["tick"]] == ["1", "2", "3", "4"] and parts["said"][0].text == "least 2"


def test_dropped_documents_stand_on_those_that_stayed() -> None:
    _, parts = drawn(kept=[0, 30, 0, 0], dropped=[0, 10, 0, 0])
    (below,), (above,) = bars(parts["stay"][0]), bars(parts["drop"][0])
    assert below[1] == BOTTOM and above[1] == pytest.approx(BOTTOM - below[3], abs=0.1)
    assert below[3] + above[3] == pytest.approx(BOTTOM - TOP, abs=0.2) and below[3] == pytest.approx(3 * above[3], rel=0.02)


def test_a_threshold_that_is_beyond_the_picture_is_told_with_an_arrow() -> None:
    _, parts = drawn(least=-7.5, most=100_000.0)
    assert [part.text for part in parts["said"]] == ["← least -7.5", "most 100,000 →"] and "limit" not in parts and "outside" not in parts


def test_a_logarithmic_axis_has_decades_and_a_place_for_zero() -> None:
    _, parts = drawn(scale="log", edges=[0, 1, 10, 100, 10_000], least=10.0)
    assert [tick.text for tick in parts["tick"]] == ["0", "1", "10", "100", "1k", "10k"]
    ticks = [float(tick.get("x", "")) for tick in parts["tick"]]
    assert ticks[5] - ticks[3] == pytest.approx(2 * (ticks[3] - ticks[2]), abs=0.2)
    assert float(parts["limit"][0].get("d", "")[1:].split()[0]) == ticks[2]


@pytest.mark.parametrize(
    ("value", "text"), [(50.0, "50"), (100_000.0, "100,000"), (0.123456, "0.123"), (12_345.6, "12,346"), (0.0, "0"), (-2.5, "-2.5")]
)
def test_numbers_in_words(value: float, text: str) -> None:
    assert number(value) == text


def test_hostile_text_stays_text() -> None:
    funnel = replaced(curation(), HOSTILE)
    for one in funnel:
        if "statistics" in one:
            one["statistics"] = {HOSTILE + name: found | {"scale": "linear"} for name, found in one["statistics"].items()}
        for edit in one.get("edits", []):
            edit["pieces"] = [["gone", HOSTILE], ["new", HOSTILE], ["same", HOSTILE]]
    for text in (page(funnel, [{HOSTILE: HOSTILE}] * len(funnel), HOSTILE), report(findings(funnel=funnel))):
        seen = Reader(text)
        assert not {tag for tag, _ in seen.tags} & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
        assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
        assert "".join(seen.text).count("<script>alert(1)</script>") > 20


def test_nothing_comes_from_elsewhere_and_ids_are_unique() -> None:
    text = page(curation(), [{}] * len(curation()), "curate/web")
    tags = Reader(text).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    links = [attributes["href"] or "" for _, attributes in tags if "href" in attributes]
    assert len(ids) == len(set(ids)) and {link.removeprefix("#") for link in links} <= set(ids) and len(links) > 5
    assert not re.search(r"@import|url\(|src=", text) and "default-src 'none'" in text
    assert len(text) < 120_000


def test_both_pages_show_the_same_figures() -> None:
    funnel = curation()
    alone, whole = page(funnel, [{}] * len(funnel), None), report(findings(funnel=funnel))
    figures = re.findall(r'<svg class="histogram".*?</svg>', alone)
    assert len(figures) == 6 and re.findall(r'<svg class="histogram".*?</svg>', whole) == figures
    assert "a run without a recipe" in alone and len(whole) < 400_000
    for text in (alone, whole):
        words = " ".join("".join(Reader(text).text).split())
        assert "and 28 other reasons, for which 406 went" in words  # 28 + 27 + … + 1
        assert "812 documents that stayed were edited: 0.1 MB went" in words
        assert "<del>what went" in text and "<ins>what came</ins>" in text


def test_each_figure_has_words_and_numbers_beside_it() -> None:
    funnel = curation()
    text = page(funnel, [{}] * len(funnel), None)
    words = funnel[2]["statistics"]["words"]
    assert all(attributes["role"] == "img" and attributes["aria-label"] for tag, attributes in Reader(text).tags if tag == "svg")
    shown = said(funnel)["funnel"][2]["histograms"][0]
    assert shown["said"].startswith("at least 50 and at most 100,000: ") and shown["said"].endswith("1 document has no value")
    assert sum(kept + gone for _, kept, gone in shown["rows"]) == 2000
    value, share = words["thresholds"]["least"][2]
    assert f"<b>{number(value)}</b> would drop {100 * share:.1f}".removesuffix(".0") in text
    assert text.count("In numbers") == 6 and text.count("<tbody>") == 6


def test_what_an_earlier_version_wrote_is_shown_too() -> None:
    """A funnel without edits and statistics."""
    funnel = [step("jsonl", "source", (10, 10), (1000, 1000)), step("keep", "filter", (10, 4), (1000, 250), rude=6)]
    text = page(funnel, [{}, {"limit": 3}], "curate/web")
    assert "25\N{NO-BREAK SPACE}% of the text is left." in text and "rude: 6 documents" in text and "<svg" not in text
    assert "Of all text, keep removed 75" in text and "<dt>limit</dt>" in text
