"""What it promises, and its weights by hand."""

from pathlib import Path

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.mixture.mixture import Logarithmic
from modelwright_plugins.mixture import Domain, Material


def test_it_holds_what_a_mixture_promises():
    assert_conforms("mixture/example")


def test_its_weights_by_hand(tmp_path: Path):
    sizes = {"web": 7_000, "code": 1_000, "math": 3_000}  # with a scale of 1,000: log 8, log 2 and log 4, as 3 : 1 : 2
    domains = {name: Domain(tmp_path / name, 1, tokens, tokens) for name, tokens in sizes.items()}
    given = Material(domains, 10_000, tmp_path, tmp_path, 1, tmp_path)
    assert Logarithmic(scale=1_000).weigh(given) == pytest.approx({"web": 3 / 6, "code": 1 / 6, "math": 2 / 6})
