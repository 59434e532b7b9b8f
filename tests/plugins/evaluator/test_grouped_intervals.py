"""Intervals of what comes in groups (turns of dialogues): as wide as of the groups, whatever copies of one another they hold."""

from __future__ import annotations

import random

import pytest

from modelwright_plugins.evaluator.interval import mean, proportion, share
from modelwright_plugins.evaluator.text_metrics import METRICS

GROUPS = [number for number in range(20) for _ in range(10)]


def test_copies_say_no_more_than_one() -> None:
    values = [random.Random(3).random() for _ in range(20)]
    one, ten = mean("x", values), mean("x", [values[number] for number in GROUPS], groups=GROUPS)
    assert (ten.low, ten.high, ten.count) == (pytest.approx(one.low), pytest.approx(one.high), 200)
    hits = [number % 4 == 0 for number in range(20)]
    few, many = proportion("x", hits), proportion("x", [hits[number] for number in GROUPS], groups=GROUPS)
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05) and many.value == few.value
    assert proportion("x", [True] * 200, groups=GROUPS).low == pytest.approx(proportion("x", [True] * 20).low)
    assert proportion("x", [True] * 200).low > 0.98


@pytest.mark.parametrize("ties", [20, 18, 10])
def test_copies_of_ties_too(ties: int) -> None:
    """Ten of each of 20, of which some are 0.5, are worth 20, and not more, as ties vary less than hits and misses."""
    values = [0.5] * ties + [1.0, 0.0] * ((20 - ties) // 2)
    one, ten = share("x", values), share("x", [values[number] for number in GROUPS], groups=GROUPS)
    assert (ten.low, ten.high) == (pytest.approx(one.low, abs=0.01), pytest.approx(one.high, abs=0.01))


def test_the_truth_is_within_as_often_as_it_says() -> None:
    """How often the truth is in it: 95 of 100 times, where groups are alike within, too; Wilson's of all turns has it far less often."""
    rng = random.Random(5)
    inside = {"grouped": 0, "plain": 0}
    for _ in range(300):
        chances = [rng.random() for _ in range(40)]  # of a group: 0.5 of all
        hits, groups = zip(*[(rng.random() < chance, number) for number, chance in enumerate(chances) for _ in range(10)], strict=True)
        for name, score in (("grouped", proportion("x", hits, groups=groups)), ("plain", proportion("x", hits))):
            inside[name] += score.low <= 0.5 <= score.high
    assert 0.91 < inside["grouped"] / 300 < 0.98 and inside["plain"] / 300 < 0.8, inside


@pytest.mark.parametrize("name", ["bleu", "rouge_l", "meteor"])
def test_metrics_of_texts_take_groups(name: str) -> None:
    said = [f"the mill turns {'slowly' if number % 3 else 'never'} at {number} today" for number in range(20)]
    right = [f"the mill turns slowly at {number} today" for number in range(20)]
    one = METRICS[name](said, right)
    ten = METRICS[name]([said[number] for number in GROUPS], [right[number] for number in GROUPS], GROUPS)
    assert (ten.value, ten.low, ten.high) == pytest.approx((one.value, one.low, one.high)) and ten.count == 200
