"""Which losses are spikes, by hand and by another library's statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelwright_plugins.stability.spikes import Finite, ZScore

LOSSES = [3.0, 3.2, 2.9, 3.1, 3.0, 2.8, 3.1, 2.9]


def test_the_score_is_scipys() -> None:
    loss = 3.9
    score = (loss - np.mean(LOSSES)) / stats.tstd(LOSSES)
    assert ZScore(window=8, threshold=score - 1e-6).spike(LOSSES, loss, 1.0) == (
        f"the loss is 3.9, {score:.1f} deviations above the mean 3"
    )
    assert ZScore(window=8, threshold=score + 1e-6).spike(LOSSES, loss, 1.0) is None


def test_a_loss_far_below_is_no_spike_and_neither_is_one_before_the_window_is_full() -> None:
    assert ZScore(window=8).spike(LOSSES, 0.1, 1.0) is None
    assert ZScore(window=8).spike(LOSSES[:7], 100.0, 1.0) is None
    assert ZScore(window=8).spike(LOSSES, 100.0, 1.0)


@pytest.mark.parametrize("stability", [Finite(), ZScore()])
def test_what_is_not_finite_is_a_spike(stability: Finite) -> None:
    assert stability.spike([], float("nan"), 1.0) == "the loss is nan and the gradient's norm 1"
    assert stability.spike([], 2.0, float("inf")) == "the loss is 2 and the gradient's norm inf"


def test_losses_all_the_same_have_no_deviation() -> None:
    assert ZScore(window=3).spike([2.0] * 3, 2.0, 1.0) is None
    assert ZScore(window=3).spike([2.0] * 3, 2.1, 1.0) == "the loss is 2.1, inf deviations above the mean 2"


@pytest.mark.parametrize("wrong", [{"window": 1}, {"threshold": 0.0}, {"rollbacks": -1}])
def test_wrong_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ZScore(**wrong)  # type: ignore[arg-type]
