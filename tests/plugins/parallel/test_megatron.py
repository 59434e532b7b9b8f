"""What a layout says of models and batches that it can't divide."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.parallel.megatron import Megatron

MODEL = CausalDecoder(layers=4, width=96, heads=4, kv_heads=2, feed_forward=256)


def problems(layout: dict[str, Any], world: int | None = None, model: CausalDecoder = MODEL, **batch: int) -> list[str]:
    numbers = {"global_batch": 16, "micro_batch": 4, "sequence_length": 128} | batch
    return Megatron(**layout).problems(model, world=world, **numbers)


def test_what_works_has_no_problems() -> None:
    pairs = [{"pipeline": 2, "virtual": 2}, {"tensor": 2, "sequence": True}]
    for layout in ({}, {"tensor": 2}, {"pipeline": 4}, {"data": 4}, {"sequence": True}, *pairs):
        assert problems(layout) == [], layout
    assert problems({"tensor": 2, "pipeline": 2, "virtual": 2, "data": 2}) == []


@pytest.mark.parametrize(
    ("layout", "batch", "said"),
    [
        (
            {"tensor": 3},
            {},
            "architecture.heads=4, architecture.kv_heads=2, architecture.feed_forward=256; nearest that divides all: 2",
        ),
        ({"tensor": 4}, {}, "parallel.tensor=4 does not divide architecture.kv_heads=2; nearest that divides all: 2"),
        ({"tensor": 2, "sequence": True}, {"sequence_length": 127}, "train.sequence_length=127; nearest that divides all: 1"),
        ({"pipeline": 3}, {}, "parallel.pipeline=3 does not divide architecture.layers=4; nearest that does: 2"),
        ({"virtual": 2}, {}, "parallel.virtual=2 needs parallel.pipeline of 2 or more"),
        ({"pipeline": 2, "virtual": 3}, {}, "architecture.layers=4; nearest that does: architecture.layers=6"),
        (
            {"data": 3},
            {},
            "nearest that works: train.global_batch=15 with train.micro_batch=1",
        ),
        ({}, {"micro_batch": 5}, "train.micro_batch=5 x 1 data ranks; nearest that works: train.micro_batch=4"),
        ({"pipeline": 2, "virtual": 2}, {"global_batch": 12}, "and there are 3; nearest that works: train.micro_batch=3"),
    ],
)
def test_what_does_not_divide_is_named_with_what_would(layout: dict[str, Any], batch: dict[str, int], said: str) -> None:
    found = problems(layout, **batch)
    assert len(found) == 1 and said in found[0], found


def test_ranks() -> None:
    assert Megatron().ranks(None) == 1
    assert Megatron().ranks(8) == 8  # as many copies as the ranks allow
    assert Megatron(tensor=2, pipeline=2).ranks(8) == 8
    assert Megatron(tensor=2, data=1).ranks(8) == 2
    assert Megatron(tensor=2, pipeline=2, data=3).ranks(None) == 12
    assert Megatron(tensor=4).ranks(2) == 4  # too many: the stage says so


@pytest.mark.parametrize("bad", [{"tensor": 0}, {"data": -1}, {"virtual": 1}])
def test_nonsense_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Megatron(**bad)
