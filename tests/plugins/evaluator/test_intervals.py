"""Intervals are those of SciPy, and cover what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import bootstrap, mean, proportion


def test_a_proportion_has_wilsons_interval() -> None:
    for won, count in ((0, 5), (5, 5), (1, 1), (37, 80), (999, 1000)):
        found = proportion("x", [1] * won + [0] * (count - won))
        theirs = stats.binomtest(won, count).proportion_ci(method="wilson")
        assert [found.low, found.high] == pytest.approx([theirs.low, theirs.high], abs=1e-12)
        assert (found.value, found.count) == (won / count, count)


def test_a_mean_has_the_percentile_interval_of_a_bootstrap() -> None:
    values = np.random.default_rng(0).lognormal(size=300)
    found = mean("x", values)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9999, random_state=1).confidence_interval
    wide = theirs.high - theirs.low
    assert found.value == pytest.approx(values.mean())
    assert abs(found.low - theirs.low) < 0.1 * wide and abs(found.high - theirs.high) < 0.1 * wide


def test_a_ratio_of_sums_is_resampled_by_examples() -> None:
    """Documents of one ratio have no width, however their sizes differ."""
    sizes = np.arange(1.0, 30)
    found = bootstrap("x", np.stack([2 * sizes, sizes], 1), lambda sums: sums[0] / sums[1], better="lower")
    assert (found.low, found.value, found.high, found.better) == (2, 2, 2, "lower")


def test_it_covers_the_truth_in_about_95_of_100_samples() -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(200):
        found = mean("x", rng.normal(1.0, 2.0, 100))
        hits += found.low <= 1.0 <= found.high
    assert 180 <= hits <= 198


def test_the_same_numbers_give_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=50).tolist()
    assert mean("x", values) == mean("x", values)
    assert mean("x", [1.0]) == Score("x", 1.0, 1.0, 1.0, 1)


def test_a_score_is_a_number_within_its_interval() -> None:
    for wrong in ({"value": 2.0}, {"value": float("nan")}, {"count": 0}, {"name": "two words"}, {"name": ""}):
        with pytest.raises(ValueError, match="it is a"):
            Score(**{"name": "x", "value": 0.5, "low": 0.0, "high": 1.0, "count": 3} | wrong)
