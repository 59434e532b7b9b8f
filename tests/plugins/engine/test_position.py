"""The batch's ramp is Megatron's, and a position is what it was after it is saved."""

from __future__ import annotations

import json

import pytest
from megatron.core.num_microbatches_calculator import RampupBatchsizeNumMicroBatchesCalculator

from modelwright_plugins.engine.position import Position, Ramp


@pytest.mark.parametrize(("first", "increment", "over", "full"), [(4, 2, 200, 16), (8, 8, 1000, 64), (2, 7, 333, 30)])
def test_the_ramp_is_megatrons(first: int, increment: int, over: int, full: int) -> None:
    full = first + increment * ((full - first) // increment)
    theirs = RampupBatchsizeNumMicroBatchesCalculator(full, 1, 1, False, 0, first, increment, over)
    ours, trained = Ramp(full, first, increment, over), 0
    sizes = []
    while trained < 2 * over:
        theirs.update(trained, consistency_check=False, verbose=False)
        sizes.append(ours.size(trained))
        assert sizes[-1] == theirs.get_current_global_batch_size(), trained
        trained += sizes[-1]
    assert sizes[0] == first and sizes[-1] == full and sizes == sorted(sizes)


def test_without_a_ramp_it_is_full_from_the_start() -> None:
    assert {Ramp(32).size(trained) for trained in (0, 1, 10**9)} == {32}
    assert Position.after(5, Ramp(32)) == Position(5, 160, 160)


def test_a_position_comes_back_as_it_was() -> None:
    ramp, position = Ramp(8, 2, 2, 40), Position(tokens=11)
    for loss in (3.0, 2.5, 2.0):
        position.updated(ramp.size(position.trained), loss, window=2)
    assert Position.after(3, ramp) == Position(3, position.drawn, position.trained) and position.tokens == 11
    position.skip_to(position.drawn + 10, step=4, why="a spike")
    assert position.losses == [2.5, 2.0]
    assert position.drawn == position.trained + 10
    saved = json.loads(json.dumps(position.saved()))
    assert Position.of(saved, ramp) == position
    assert saved["skipped"] == [{"first": position.trained, "sequences": 10, "step": 4, "why": "a spike"}]


def test_an_older_checkpoint_knows_its_updates_alone() -> None:
    assert Position.of({"updates": 7}, Ramp(4)) == Position(7, 28, 28)
