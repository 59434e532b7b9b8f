"""Schedules against worked values and torch's own."""

from __future__ import annotations

import math

import pytest

from modelwright_plugins.schedule.warmup import Constant, Cosine, Linear


def test_worked_values() -> None:
    cosine = Cosine(warmup=10, floor=0.1)
    assert [cosine.factor(step, 110) for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert cosine.factor(60, 110) == pytest.approx(0.55)  # half-way: the mean of peak and floor
    assert cosine.factor(110, 110) == pytest.approx(0.1)
    linear = Linear(warmup=0.1, floor=0.2)
    assert [round(linear.factor(step, 100), 6) for step in (10, 55, 100)] == [1.0, 0.6, 0.2]
    assert [Constant(warmup=0.5).factor(step, 4) for step in (1, 2, 3, 4)] == [0.5, 1.0, 1.0, 1.0]


def test_cosine_is_torchs() -> None:
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.05)
    for step in range(1, 51):
        optimizer.step()
        scheduler.step()
        assert math.isclose(Cosine(warmup=0, floor=0.05).factor(step, 50), optimizer.param_groups[0]["lr"], rel_tol=1e-9)


def test_no_division_by_zero_at_the_edges() -> None:
    for schedule in (Cosine(warmup=0), Cosine(warmup=1), Linear(warmup=5), Constant(warmup=0.0)):
        assert all(0 <= schedule.factor(step, 1) <= 1 for step in (1,))
    assert Linear(warmup=5).factor(3, 3) == pytest.approx(0.6)  # a run shorter than its warm-up


def test_negative_warmup_is_told() -> None:
    with pytest.raises(ValueError, match="warmup is -1"):
        Cosine(warmup=-1)
