"""The page of a pipeline: what it says of its phases and their scores."""

from __future__ import annotations

import html
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pipeline_example import RECORD, written

from modelwright_plugins.pipeline.page import write_page


class Tables(HTMLParser):
    """The tables of a page, by their region's name: rows of cells' texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.name, self.cell, self.bold = "", False, list[str]()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("role") == "region":
            self.name = given["aria-label"]
            self.tables[self.name] = []
        if tag == "tr":
            self.tables[self.name].append([])
        if tag in {"td", "th"}:
            self.tables[self.name][-1].append("")
            self.cell = True
        if tag == "small":
            self.tables[self.name][-1][-1] += " | "
        if tag == "strong":
            self.bold.append(" / ".join(self.tables[self.name][-1][:1]))

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in {"td", "th"}

    def handle_data(self, data):
        if self.cell:
            self.tables[self.name][-1][-1] += data.replace("\N{ZERO WIDTH SPACE}", "").strip("\n")


@pytest.fixture
def page(tmp_path) -> str:
    folder = written(tmp_path / "out")
    write_page(folder, RECORD)
    return (folder / "report.html").read_text()


def test_scores_stand_side_by_side_with_their_intervals(page):
    found = Tables(page)
    assert found.tables["Scores of each phase"] == [
        ["Score", "Better", "Of", "base", "sft", "dpo"],
        ["held-out text"],
        ["bits_per_byte", "lower", "500", "1.91 | 1.88 to 1.95", "–", "–"],
        ["orders"],
        ["correctness", "higher", "500", "0.12 | 0.09 to 0.15", "0.93 | 0.91 to 0.95", "0.97 | 0.955 to 0.981"],
        ["bleu", "higher", "500", "–", "61.2 | 60 to 62.5", "60.9 | 59.8 to 62.1"],
    ]
    assert found.bold == ["correctness", "bleu"]  # one model alone is not the best of its row


def test_phases_are_told_as_far_as_they_came(page):
    rows = {row[0]: row[1:] for row in Tables(page).tables["Phases"]}
    assert rows["base"] == ["–", "train, evaluate", "finished", "64\N{NO-BREAK SPACE}s", "evaluation"]
    assert rows["sft"][0] == "base" and rows["sft"][4] == "report, evaluation"
    assert rows["dpo"][2] == "running" and rows["export"] == ["dpo", "–", "not begun", "–", "–"]
    assert '<a href="sft/report.html" aria-label="report of phase sft">' in page
    assert "2 of 4 phases" in page


def test_models_stand_side_by_side_with_what_they_cost(page):
    heads, base, sft, *_ = Tables(page).tables["Models"]
    assert heads[:5] == ["Phase", "Weights, as saved", "Bits per byte", "Correctness", "Writes, tokens/s"]
    assert base == [
        "base",
        "3.5\N{NO-BREAK SPACE}MB",
        "1.91",
        "0.12",
        "1.2\N{NO-BREAK SPACE}k",
        "10.0\N{NO-BREAK SPACE}MB",
        "2\N{NO-BREAK SPACE}k",
    ]
    assert sft[1:5] == ["3.5\N{NO-BREAK SPACE}MB", "–", "0.93", "1.2\N{NO-BREAK SPACE}k"]
    assert "The model of phase dpo answers" in page and "AutoTokenizer" in page


def test_the_page_needs_nothing_from_outside_and_what_a_file_says_is_escaped(page, tmp_path):
    assert "<b>tiny" not in page and "&lt;b&gt;tiny" in page
    assert "<script" not in page and not re.search(r'(?:src|href)="(?:https?:)?//', page)
    for link in re.findall(r'href="([^"]+)"', page):
        assert (Path(tmp_path / "out") / link).exists()


def test_what_evaluators_wrote_for_people_is_there_as_far_as_it_is_short(page):
    texts = re.findall(r"<details( open)?><summary>(\w+): orders/dialogues.txt</summary><pre>(.*?)</pre>", page, re.DOTALL)
    assert [(opened.strip(), name) for opened, name, _ in texts] == [("", "sft"), ("open", "dpo")]
    assert texts[0][2].strip() == "sft: &lt;i&gt;a pizza&lt;/i&gt;"
    assert texts[1][2].endswith("… 20,000 characters more in dpo/evaluate/orders/dialogues.txt")


def test_the_command_can_be_pasted(tmp_path):
    words = ["recipe=./my orders.yaml", "stages=[align,evaluate]", 'sft.reward.regex.pattern="The sum is.*"', "seed=7"]
    write_page(folder := written(tmp_path / "out"), {**RECORD, "words": words})
    (command,) = re.findall(r"<dd>(?:<[^>]+>)*(modelwright run .*?)</", (folder / "report.html").read_text())
    assert shlex.split(html.unescape(command).replace("\N{ZERO WIDTH SPACE}", "")) == ["modelwright", "run", *words]
