"""What a layout says of models and batches that it can't divide."""

from __future__ import annotations

from dataclasses import replace
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
    uneven = [{"pipeline": 2, "first_stage_layers": 1}, {"pipeline": 3, "first_stage_layers": 1, "last_stage_layers": 1}]
    uneven += [{"pipeline": 2, "first_stage_layers": 1, "last_stage_layers": 3}, {"pipeline": 3, "last_stage_layers": 2}]
    for layout in (*uneven, {"context": 4}, {"context": 2, "tensor": 2, "sequence": True}, {"fully_sharded": True, "data": 2}):
        assert problems(layout) == [], layout


def test_experts_that_fit_have_no_problems() -> None:
    model = replace(MODEL, experts=8, expert_feed_forward=128)
    tensor = {"tensor": 2, "sequence": True}
    for layout in ({}, {"expert": 2}, {"expert": 4, "data": 4}, {"expert": 2, "context": 2}, {"expert": 2, "data": 2, **tensor}):
        assert problems(layout, model=model) == [], layout
    assert problems({"expert": 2, "expert_tensor": 1, **tensor}, model=model) == []  # attention's two tensor ranks have four experts each


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"expert": 3, "data": 3}, "parallel.expert=3 does not divide architecture.experts=8; nearest that does: 2"),
        ({"expert": 4, "data": 2}, "parallel.expert=4 x 1 expert tensor ranks does not divide tensor 1 x context 1 x data 2 = 2 ranks; "),
        ({"tensor": 2, "data": 1}, "parallel.tensor=2 with experts needs parallel.sequence=true"),
        ({"expert_tensor": 3, "data": 3}, "parallel.expert_tensor=3 does not divide the experts' feed-forward size 128"),
        ({"expert": 2, "fully_sharded": True}, "parallel.fully_sharded=true wants parallel.expert=1, which is 2"),
    ],
)
def test_experts_that_do_not_fit(layout: dict[str, Any], said: str) -> None:
    model = replace(MODEL, experts=8, expert_feed_forward=128)
    found = problems(layout, model=model, global_batch=24, micro_batch=1)
    assert len(found) == 1 and said in found[0], found


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
        ({"context": 2}, {"sequence_length": 126}, "train.sequence_length in multiples of 4, and it is 126; nearest that works: 128"),
        (
            {"context": 2, "tensor": 2, "sequence": True},
            {"sequence_length": 122},
            "parallel.context=2 x parallel.tensor=2 with sequence parallelism wants train.sequence_length in multiples of 4, and it is 122",
        ),
        ({"first_stage_layers": 2}, {}, "parallel.first_stage_layers=2 needs parallel.pipeline of 2 or more, which is 1"),
        (
            {"pipeline": 3, "first_stage_layers": 1},
            {},
            "first_stage_layers=1 leave 3 of architecture.layers=4 for 2 other pipeline ranks; it must be a multiple of 2 from there up",
        ),
        ({"pipeline": 2, "last_stage_layers": 4}, {}, "leave 0 of architecture.layers=4 for 1 other pipeline rank;"),
        (
            {"pipeline": 2, "first_stage_layers": 1, "last_stage_layers": 2},
            {},
            "first_stage_layers=1 and parallel.last_stage_layers=2 make 3 layers, and architecture.layers=4; leave one of them null",
        ),
        ({"pipeline": 2, "virtual": 2, "first_stage_layers": 3}, {}, "parallel.virtual=2 does not divide parallel.first_stage_layers=3"),
        ({"fully_sharded": True, "pipeline": 2}, {}, "parallel.fully_sharded=true wants parallel.pipeline=1, which is 2"),
        ({"expert": 2, "data": 2}, {}, "parallel.expert=2: the architecture has no experts"),
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
    assert Megatron(tensor=2, context=2).ranks(None) == 4
    assert Megatron(context=2).ranks(8) == 8
    # experts are on ranks of data and context, and of tensor where each expert is whole
    assert Megatron(expert=4).ranks(None) == 4
    assert Megatron(expert=4, context=2).ranks(None) == 4
    assert Megatron(expert=2, tensor=2).ranks(None) == 4
    assert Megatron(expert=2, tensor=2, expert_tensor=1).ranks(None) == 2
    assert Megatron(expert=2, data=1).ranks(None) == 1  # too few: problems says so


@pytest.mark.parametrize(
    "bad",
    [
        {"tensor": 0},
        {"data": -1},
        {"virtual": 1},
        {"context": 0},
        {"expert": 0},
        {"expert_tensor": 0},
        {"first_stage_layers": 0},
        {"last_stage_layers": 0},
        {"recompute": "some"},
        {"fully_sharded": True, "distributed_optimizer": True},
    ],
)
def test_nonsense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Megatron(**bad)


def test_what_recompute_was_is_told() -> None:
    with pytest.raises(ValueError, match=r"recompute is True; it is none, selective or full \(full is what true was\)"):
        Megatron(recompute=True)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline": 4},
        {"pipeline": 4, "first_stage_layers": 2},
        {"pipeline": 3, "last_stage_layers": 4},
        {"pipeline": 3, "first_stage_layers": 2, "last_stage_layers": 1},
        {"pipeline": 2, "first_stage_layers": 3, "last_stage_layers": 5},
        {"pipeline": 2, "virtual": 2, "first_stage_layers": 2},
    ],
)
def test_layers_of_a_stage_are_those_that_megatron_builds(fields: dict[str, Any]) -> None:
    from megatron.core.transformer.transformer_block import get_num_layers_to_build

    from modelwright_plugins.engine.memory import layers_of

    layout, model = Megatron(**fields), CausalDecoder(layers=8, width=96, heads=4)
    assert problems(fields, model=model) == []
    config = model.transformer_config(**layout.settings(), pipeline_dtype="any")
    for place in range(layout.pipeline):
        chunks = [get_num_layers_to_build(config, vp_stage=chunk, pp_rank=place) for chunk in range(layout.virtual or 1)]
        assert sum(chunks) == layers_of(layout, 8, place), (place, chunks)
