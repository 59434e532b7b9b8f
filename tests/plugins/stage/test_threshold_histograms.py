"""Histograms of statistics: counted by hand, and in the slow way for any values and bounds."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from modelwright_plugins.report.histogram import svg
from modelwright_plugins.stage._histogram import histogram, statistics


def drawn(values: list[float], least: float | None = None, most: float | None = None, kept: list[bool] | None = None) -> dict[str, Any]:
    return histogram(np.array(values, dtype=float), np.array([True] * len(values) if kept is None else kept), least, most)


def test_a_few_whole_numbers_have_a_bin_each() -> None:
    """Ten texts of 1, 2, 2, 3, 3, 3, 5, 5, 8, 9 words; at least 3 and at most 7."""
    words = [1, 2, 2, 3, 3, 3, 5, 5, 8, 9]
    found = drawn(words, 3, 7, [3 <= word <= 7 and word != 5 for word in words])  # another rule dropped the two of 5 words
    assert found["scale"] == "whole"
    assert found["edges"] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert found["kept"] == [0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert found["dropped"] == [1, 2, 0, 0, 2, 0, 0, 1, 1]
    assert (found["least"], found["most"], found["lowest"], found["median"], found["highest"]) == (3, 7, 1, 3, 9)
    assert found["outside"] == 0.5
    # At least 2 drops one of ten; 3 drops three; 5 drops six. Nothing drops 1 or 5 of a hundred: 2 is nearest to 5 % and to 10 %.
    assert found["thresholds"]["least"] == [[2, 0.1], [3, 0.3], [5, 0.6]]
    assert found["thresholds"]["most"] == [[8, 0.1], [5, 0.2], [3, 0.4]]


def test_what_is_allowed_to_the_last_is_on_the_right_side_of_the_line() -> None:
    shares = [0.1, 0.2, 0.3, 0.3, 0.30001, 0.9]
    found = drawn(shares, most=0.3, kept=[share <= 0.3 for share in shares])
    at = found["edges"].index(0.3)
    assert sum(found["kept"][:at]) == 4 and sum(found["kept"][at:]) == 0
    assert sum(found["dropped"][:at]) == 0 and sum(found["dropped"][at:]) == 2
    found = drawn(shares, least=0.3, kept=[share >= 0.3 for share in shares])
    at = found["edges"].index(0.3)
    assert sum(found["dropped"][:at]) == 2 == sum(found["dropped"]) and sum(found["kept"][at:]) == 4


def test_wide_values_are_binned_by_their_logarithms_and_zero_has_a_bin() -> None:
    pick = random.Random(0)
    words = [0.0] * 7 + [math.floor(math.exp(pick.gauss(6, 2))) + 1.0 for _ in range(1000)]
    found = drawn(words, 50, 100_000, [50 <= word <= 100_000 for word in words])
    edges = found["edges"]
    assert found["scale"] == "log" and edges[0] == 0 and found["dropped"][0] == 7
    assert 50 in edges and 100_000 in edges
    ratios = [b / a for a, b in pairwise(edges[1:])]
    assert np.median(ratios) == pytest.approx(math.exp((math.log(edges[-1]) - math.log(edges[1])) / (len(edges) - 2)), rel=0.1)


def test_a_bound_far_away_does_not_squeeze_the_picture() -> None:
    found = drawn([3 + 0.01 * n for n in range(400)], most=1000.0)
    assert found["edges"][-1] < 8 and found["most"] == 1000 and found["outside"] == 0
    whole = drawn([float(n % 5) for n in range(100)], most=100_000)
    assert whole["scale"] == "whole" and len(whole["kept"]) == 5


@pytest.mark.parametrize(
    "values", [[0.0], [0.0] * 9, [0.25] * 3, [5.0], [-1.5, -1.5], [1e-12, 1.0], [0.0, 1e9], [1e300, 1.0], [0.5, 7e6, 0.1]]
)
@pytest.mark.parametrize(("least", "most"), [(None, None), (0.0, None), (None, 0.0), (0.3, 0.3), (1.0, 5.0), (-2.5, 1e6)])
def test_any_few_values(values: list[float], least: float | None, most: float | None) -> None:
    found = drawn(values, least, most)
    assert sum(found["kept"]) == len(values) and not any(found["dropped"])
    assert found["edges"] == sorted(found["edges"]) and all(map(math.isfinite, found["edges"]))


@pytest.mark.parametrize("seed", range(60))
def test_every_bin_is_counted_in_the_slow_way(seed: int) -> None:
    """Counts sum to the sample; a bin has only documents of one side of each bound; bins in the middle have what their edges say."""
    pick = random.Random(seed)
    many = pick.choice([1, 7, 300, 2000])
    draw = pick.choice(
        [
            lambda: pick.random(),
            lambda: pick.choice([0.0, pick.random() ** 4]),
            lambda: pick.gauss(5, 1),
            lambda: float(pick.randrange(30)),
            lambda: float(pick.randrange(10_000)),
            lambda: float(int(math.exp(pick.gauss(5, 2)))),
            lambda: math.exp(pick.gauss(0, 3)),
        ]
    )
    values = [draw() for _ in range(many)]
    least = pick.choice([None, pick.choice(values), draw()])
    most = pick.choice([None, pick.choice(values), draw()])
    if least is not None and most is not None and least > most:
        least, most = most, least
    stays = [(least is None or value >= least) and (most is None or value <= most) for value in values]
    found = drawn(values, least, most, stays)
    assert sum(found["kept"]) == sum(stays) and sum(found["dropped"]) == many - sum(stays)
    assert 1 <= len(found["kept"]) == len(found["dropped"]) == len(found["edges"]) - 1 <= 90
    both = [n for n, (kept, dropped) in enumerate(zip(found["kept"], found["dropped"], strict=True)) if kept and dropped]
    # Only the first and the last bin may have both: a bound that lies beyond them is not drawn in.
    assert set(both) <= {0, len(found["kept"]) - 1}
    assert found["outside"] == pytest.approx(1 - sum(stays) / many)
    for value, share in found["thresholds"].get("least", []):
        assert share == sum(v < value for v in values) / many > 0
    for value, share in found["thresholds"].get("most", []):
        assert share == sum(v > value for v in values) / many > 0


def test_alone_is_what_no_other_statistic_has_outside() -> None:
    bounds: dict[str, list[float | None]] = {"words": [3.0, None], "share": [None, 0.5], "off": [None, None], "unseen": [1.0, None]}
    rows = [
        (False, {"words": 1.0, "share": 0.9, "off": 4.0}),  # both
        (False, {"words": 2.0, "share": 0.1, "off": 4.0}),  # words only
        (False, {"words": 9.0, "share": 0.6, "off": 4.0}),  # share only
        (True, {"words": 3.0, "off": 5.5}),
    ]
    found = statistics(rows, bounds)
    assert list(found) == ["words", "share", "off"]
    assert [found[name]["outside"] for name in found] == [0.5, pytest.approx(2 / 3), 0.0]
    assert [found[name]["alone"] for name in found] == [0.25, pytest.approx(1 / 3), 0.0]
    assert [found[name]["without"] for name in found] == [0, 1, 0]
    assert found["off"]["thresholds"] == {}


@pytest.mark.parametrize("base", [12_000_000, 12_000_001.5, 2.0**53, 1e17, -1e17])
@pytest.mark.parametrize("spread", [0, 0.5, 3])
@pytest.mark.parametrize("bounds", [(None, None), (100, 1e6), (None, 12_000_000), (50, None)])
def test_values_that_are_large_beside_their_spread(base: float, spread: float, bounds: tuple[float | None, float | None]) -> None:
    """One document of 12 MB is enough: seven digits make one edge of all."""
    values = [base, base + spread, base + 2 * spread]
    found = drawn(values, *bounds)
    assert all(low < high for low, high in pairwise(found["edges"]))
    assert found["edges"][0] <= min(values) and max(values) <= found["edges"][-1]
    assert svg("bytes", found).count("<svg") == 1


def test_an_axis_with_no_length() -> None:
    found = drawn([12_000_000.0]) | {"edges": [12_000_000.0, 12_000_000.0], "kept": [1], "dropped": [0]}
    assert svg("bytes", found).count('class="stay"') == 1
