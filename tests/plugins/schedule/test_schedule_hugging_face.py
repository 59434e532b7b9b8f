"""Schedules against Hugging Face's `get_scheduler`, at each step."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.schedule import Schedule
from modelwright_plugins.schedule.inverse_sqrt import InverseSqrt
from modelwright_plugins.schedule.warmup import Constant, Cosine, Linear
from modelwright_plugins.schedule.wsd import WSD

STEPS = 200
CASES: list[tuple[Schedule, str, dict[str, Any]]] = [
    (Constant(warmup=20), "constant_with_warmup", {}),
    (Linear(warmup=0.1), "linear", {}),
    (Cosine(warmup=20, floor=0.0), "cosine", {}),
    (Cosine(warmup=20, floor=0.3), "cosine_with_min_lr", {"min_lr_rate": 0.3}),
    (InverseSqrt(warmup=20), "inverse_sqrt", {}),
    *(
        (WSD(warmup=20, decay=50, shape=shape), "warmup_stable_decay", {"num_decay_steps": 50, "decay_type": theirs})
        for shape, theirs in (("linear", "linear"), ("cosine", "cosine"), ("one_minus_sqrt", "1-sqrt"))
    ),
    # with a floor, Hugging Face's warm-up starts from it: without a warm-up they are the same
    (
        WSD(warmup=0, decay=0.25, shape="one_minus_sqrt", floor=0.1),
        "warmup_stable_decay",
        {"num_decay_steps": 50, "decay_type": "1-sqrt", "min_lr_ratio": 0.1},
    ),
]


@pytest.mark.parametrize(("schedule", "name", "settings"), CASES, ids=lambda c: c if isinstance(c, str) else None)
def test_every_step_has_the_factor_of_hugging_face(schedule: Schedule, name: str, settings: dict[str, Any]) -> None:
    import torch
    import transformers

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warmup = 0 if schedule.warmup == 0 else 20  # type: ignore[attr-defined]
    scheduler = transformers.get_scheduler(name, optimizer, warmup, STEPS, scheduler_specific_kwargs=settings)
    for step in range(1, STEPS + 1):
        optimizer.step()
        scheduler.step()
        assert schedule.factor(step, STEPS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), step


def test_worked_values() -> None:
    t5 = InverseSqrt(warmup=10_000, flat=True)
    assert [0.01 * t5.factor(step, 1) for step in (1, 10_000, 40_000, 1_000_000)] == pytest.approx([0.01, 0.01, 0.005, 0.001])
    vaswani = InverseSqrt(warmup=4_000)
    for step in (
        1,
        3_999,
        4_000,
        4_001,
        100_000,
    ):  # equation 3: d^-0.5 min(step^-0.5, step warmup^-1.5), whose peak is at the warm-up's end
        assert vaswani.factor(step, 1) == pytest.approx(min(step**-0.5, step * 4_000**-1.5) / 4_000**-0.5)
    last = WSD(warmup=0, decay=0.1, floor=0.2)
    assert [last.factor(step, 100) for step in (90, 95, 100)] == pytest.approx([1.0, 0.6, 0.2])
    assert [WSD(warmup=2, decay=9).factor(step, 4) for step in (1, 2, 3, 4)] == [0.5, 1.0, 0.5, 0.0]  # shorter than its decay
    assert WSD(warmup=0, decay=1.0).factor(99, 100) == 1.0  # one step, not the whole run


def test_the_stable_part_does_not_depend_on_the_length() -> None:
    schedule = WSD(warmup=10, decay=0.2)
    assert [schedule.factor(step, 100) for step in range(1, 81)] == [schedule.factor(step, 1_000) for step in range(1, 81)]


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (InverseSqrt, {"warmup": 0}, "warmup is 0"),
        (WSD, {"warmup": -1}, "warmup is -1"),
        (WSD, {"decay": -0.1}, "decay is -0.1"),
        (WSD, {"shape": "square"}, "shape is square"),
        (WSD, {"floor": 1.5}, "floor is 1.5"),
    ],
)
def test_a_bad_setting_is_told(kind: type, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**settings)
