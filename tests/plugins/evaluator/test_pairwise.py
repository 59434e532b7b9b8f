"""Win rates and strengths, against scipy's optimizer on the formula as it is printed, and by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binomtest

from modelwright_plugins.evaluator.pairwise import Comparison, elo, win_rates


def played(strengths: dict[str, float], count: int, seed: int, ties: float = 0.0) -> list[Comparison]:
    dice, names = random.Random(seed), sorted(strengths)
    found = []
    for _ in range(count):
        one, other = dice.sample(names, 2)
        chance = 1 / (1 + 10 ** ((strengths[other] - strengths[one]) / 400))
        found.append(Comparison(one, other, 0.5 if dice.random() < ties else float(dice.random() < chance)))
    return found


def slow(comparisons: list[Comparison]) -> dict[str, float]:
    """The log-likelihood written out, a comparison at a time, in float64."""
    names = sorted({p for c in comparisons for p in (c.first, c.second)})

    def loss(x):
        at = dict(zip(names, x, strict=True))
        total = sum(x) ** 2
        for c in comparisons:
            chance = 1 / (1 + 10 ** ((at[c.second] - at[c.first]) / 400))
            total -= c.score * math.log(chance) + (1 - c.score) * math.log(1 - chance)
        return total

    found = minimize(loss, np.zeros(len(names)), method="BFGS", options={"gtol": 1e-7})
    return {name: 1000 + value - found.x.mean() for name, value in zip(names, found.x, strict=True)}


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_strengths_are_the_likeliest(ties):
    comparisons = played({"a": 1200, "b": 1000, "c": 950, "d": 850}, 150, 1, ties)
    found = {score.name.removeprefix("elo/"): score for score in elo(comparisons, draws=50)}
    for name, expected in slow(comparisons).items():
        assert found[name].value == pytest.approx(expected, abs=0.01)
    assert sum(score.value for score in found.values()) == pytest.approx(4000)
    assert sum(score.count for score in found.values()) == 300


def test_ties_have_wilsons_interval():
    """Ten ties say as much as five wins of ten."""
    wilson = binomtest(5, 10).proportion_ci(method="wilson")
    for score in win_rates([Comparison("a", "b", 0.5)] * 10):
        assert (score.value, score.low, score.high) == pytest.approx((0.5, wilson.low, wilson.high))


def test_two_players_by_hand():
    """Three wins of four: odds of 3 to 1, 400 log10 3 points."""
    comparisons = [Comparison("a", "b", 1), Comparison("b", "a", 0), Comparison("a", "b", 1), Comparison("b", "a", 1)]
    one, other = elo(comparisons, draws=0)
    assert (one.name, other.name) == ("elo/a", "elo/b")
    assert one.value - other.value == pytest.approx(400 * math.log10(3))
    assert [score.value for score in win_rates(comparisons)] == [0.75, 0.25]
    assert elo(comparisons[::-1], draws=0) == [one, other]


@pytest.mark.slow
def test_intervals_hold_what_is_true():
    """95 of 100 should; of 40 studies of three players, 114 of 120."""
    true = {"a": 1100.0, "b": 1000.0, "c": 900.0}
    inside = sum(score.low <= true[score.name[-1]] <= score.high for seed in range(40) for score in elo(played(true, 200, seed), draws=200))
    assert 105 <= inside <= 120


def test_win_rates_and_ties():
    comparisons = [Comparison("a", "b", 1)] * 8 + [Comparison("b", "a", 0.5)] * 2
    first, second = win_rates(comparisons)
    assert (first.name, first.value, first.count, second.value) == ("win_rate/a", 0.9, 10, pytest.approx(0.1))
    assert first.low < 0.9 < first.high
    always = win_rates([Comparison("a", "b", 1)] * 5)[0]
    assert always.value == 1 and always.low == pytest.approx(0.5655, abs=1e-4)  # Wilson: 5 / (5 + 1.96^2)


def test_players_that_can_not_be_compared():
    islands = [Comparison("a", "b", 0.5), Comparison("c", "d", 0.5)]
    with pytest.raises(ValueError, match=r"^strengths can't be compared between these groups.*: a, b; c, d; give prior=1"):
        elo(islands)
    with pytest.raises(ValueError, match=r"never lost to.*: a; b;"):
        elo([Comparison("a", "b", 1)] * 3)
    unbeaten = elo([Comparison("a", "b", 1)] * 3, prior=1)
    assert unbeaten[0].name == "elo/a" and 0 < unbeaten[0].value - 1000 < 400
    assert [score.value for score in elo(islands, prior=1, draws=0)] == [pytest.approx(1000)] * 4


@pytest.mark.parametrize(("score", "prior"), [(1, 1), (0.5, 0), (0.5, 1)])
def test_where_all_ended_alike_there_is_an_interval_too(score, prior):
    """As wide as the likelihood is, by differences of it in float64; copies of one prompt's comparison are worth one."""
    comparisons = [Comparison("a", "b", score)] * 12

    def likelihood(s):  # a is at s, b at -s; the prior: draws with a player at 0
        chance, even = 1 / (1 + math.exp(-2 * s)), 1 / (1 + math.exp(-s))
        return 12 * (score * math.log(chance) + (1 - score) * math.log(1 - chance)) + prior * math.log(even * (1 - even))

    best = max((number / 1e4 for number in range(-40_000, 40_000)), key=likelihood)
    bend = (2 * likelihood(best) - likelihood(best + 1e-3) - likelihood(best - 1e-3)) / 1e-6
    wide = 400 / math.log(10) * 1.959964 / math.sqrt(bend)
    (a,) = [one for one in elo(comparisons, prior=prior) if one.name == "elo/a"]
    assert (a.low, a.high) == (pytest.approx(a.value - wide, rel=1e-3), pytest.approx(a.value + wide, rel=1e-3))
    tenfold = elo([one for one in comparisons for _ in range(10)], groups=[number // 10 for number in range(120)], prior=10 * prior)
    (ten,) = [one for one in tenfold if one.name == "elo/a"]
    assert ten.value == pytest.approx(a.value) and (prior or ten.low == pytest.approx(a.low))


def test_what_is_wrong_is_told():
    for wrong in (("a", "a", 1), ("a", "b", 2), ("a", "b", float("nan"))):
        with pytest.raises(ValueError, match=r"is compared with itself|score is"):
            Comparison(*wrong)
    for count in (win_rates, elo):
        with pytest.raises(ValueError, match="there are no comparisons"):
            count([])
    with pytest.raises(ValueError, match="prior is -1"):
        elo([Comparison("a", "b", 1)], prior=-1)
