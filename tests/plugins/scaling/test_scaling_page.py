from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import runs

from modelwright_plugins.scaling.backtest import backtest
from modelwright_plugins.scaling.fit import fit
from modelwright_plugins.scaling.laws import LAWS
from modelwright_plugins.scaling.optimum import allocation, unfit
from modelwright_plugins.scaling.page import Findings, page


class Text(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def findings(law: str = "chinchilla", bootstrap: int = 40, **changed) -> Findings:
    o = replace(runs(law, noise=0.004, seed=2), **changed)
    found = fit(LAWS[law], o, bootstrap=bootstrap)
    return Findings(found, [allocation(found, c) for c in (1e22, 1e24)], [], backtest(found), "modelwright scaling fit x.csv")


@pytest.fixture(scope="module", params=LAWS)
def found(request) -> Findings:
    return findings(request.param)


def test_the_page_has_the_numbers(found):
    read = Text(page(found))
    for name, value, low, high in found.coefficients:
        assert f"{name} {value:.4g} {low:.4g} to {high:.4g}" in read.text
    for a in found.allocations:
        assert f"{a.loss[0]:.3f} {a.loss[1]:.3f} to {a.loss[2]:.3f}" in read.text
    assert f"1e22 FLOPs should reach {found.allocations[0].loss[0]:.2f} nats a token" in read.text  # 1e24 is far out
    assert f"the law foresees {found.backtest.predicted[0]:.3f}" in read.text and f"measured was {found.backtest.measured:.3f}" in read.text
    assert "runs, of 7 sizes 49" in read.text and "All 49 were used." in read.text and "run 48" in read.text


def test_the_page_stands_alone(found):
    source = page(found)
    read = Text(source)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in read.tags}
    assert "default-src 'none'" in source
    for _, attributes in read.tags:
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), attributes
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(figures) == 4 and all(f["role"] == "img" and len(f["aria-label"]) > 40 for f in figures)


def test_each_run_is_a_dot_on_the_figures(found):
    figures = page(found).split("<svg")[1:]
    for place in (0, 1, 3):  # not that of the budgets
        markers = Counter(re.findall(r'<use xlink:href="#([\w-]+)"', figures[place]))
        assert len(found.fit.observations.loss) in markers.values(), markers


def test_names_from_files_are_escaped_and_the_quarantined_are_listed():
    hostile = "<script>alert(1)</script>"
    source = page(findings(quarantined=[f"x.csv:3: {hostile}"], labels=[hostile] * 49, name=hostile))
    assert hostile not in source
    assert "x.csv:3: &lt;script&gt;" in source and "1 could not be used and was set aside." in Text(source).text


def test_without_bootstrap_there_are_no_intervals_and_no_nan():
    text = Text(page(findings(bootstrap=0))).text
    assert "nan" not in text.replace("nant", "") and " to nan" not in text and "E 1." in text


def test_it_warns_of_few_runs_a_failed_backtest_and_a_far_budget():
    o = runs("chinchilla", noise=0.002, seed=4, sizes=3, lengths=4)
    loss = o.loss.copy()
    loss[-1] *= 1.2
    found = fit(LAWS["chinchilla"], replace(o, loss=loss), bootstrap=60)
    said = " ".join(Findings(found, [allocation(found, 1e28)], [], backtest(found), "x").warnings)
    assert "12 runs are few for 5 coefficients" in said
    assert "outside the interval foreseen from the others" in said and "times the operations of the largest run" in said
    many = findings()
    assert not many.warnings


def test_a_law_without_a_best_size_says_so_instead_of_budgets():
    o = runs("chinchilla", alpha=-0.05, A=1.0)  # larger models are worse
    found = fit(LAWS["chinchilla"], o, bootstrap=0)
    assert allocation(found, 1e22) is None
    told = Findings(found, [], [], None, "x", [(1e22, unfit(found, 1e22))])
    assert any("no best size" in warning for warning in told.warnings)
    text = Text(page(told)).text
    assert "1e22 FLOPs have no best size: by the fitted law, the loss does not fall with both parameters and tokens" in text
    assert "These runs show no best size." in text and "How to spend a budget" not in text and "alpha -0.05" in text


def test_samples_without_a_best_size_are_told_and_widen_what_is_shown():
    found = fit(LAWS["chinchilla"], runs("chinchilla"), bootstrap=0)
    samples = np.repeat(found.theta[None], 100, 0)
    samples[:12, 4] = -0.1
    found = replace(found, samples=samples)
    told = Findings(found, [allocation(found, 1e22)], [], None, "x")
    text = Text(page(told)).text
    assert "In 12 % of the bootstrap samples there is no best size" in text and "0 to inf" in text
    samples[1:12] = found.theta  # one in a hundred is beyond the ends of the interval anyway
    assert not any("bootstrap samples" in said for said in Findings(found, [allocation(found, 1e22)], [], None, "x").warnings)


@pytest.mark.parametrize("law", LAWS)
def test_kaplans_page_says_which_optimum_it_is_not(law):
    assert ("C^0.73" in Text(page(findings(law))).text) == (law == "kaplan")
