"""Under FP16 the first updates may be let pass, while the loss scale comes down: a checkpoint from then has no state of the optimizer."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

WAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # optimizer, the layout that saves, the one that goes on
    ("adamw", {}, {}),
    ("soap", {}, {}),
    ("adamw", {"data": 2, "distributed_optimizer": True}, {"tensor": 2}),
    ("muon", {"data": 2}, {"data": 2, "distributed_optimizer": True}),
]


def gone_on(rank: int, ways: list[tuple[str, dict[str, Any], dict[str, Any]]], out: Path) -> list[Any]:
    """Of each way: losses and scales after step 2, of the training that saves there; of one that loads that; and of one that first has
    trained further."""
    from modelwright.hooks import discover
    from modelwright_plugins.conformance.training import Case, _trainer, built_in
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP16

    precision = FP16(initial_scale=2.0**30, hysteresis=1, growth_interval=5, backoff=0.0625)
    found: list[Any] = []
    for number, (name, saves, loads) in enumerate(ways):
        for place, settings in enumerate((saves, loads)):
            layout = Megatron(**settings)
            if rank >= layout.ranks(None):
                continue
            joined(rank, layout.ranks(None), 2 * number + place)
            with started(layout, seed=3):
                optimizer = discover().registry.load("optimizer", name)()
                parts = {**built_in(), "parallel": layout, "precision": precision, "optimizer": optimizer}
                for further in (False, True)[: place + 1]:
                    trainer = _trainer(parts, Case({}, steps=10))
                    chunks = [chunk.module for chunk in trainer.chunks]
                    if place == 0:
                        list(islice(trainer.updates(), 2))
                        checkpoint.save(out / str(number), 2, chunks, trainer.optimizer, keep_last=None)
                    else:
                        if further:
                            list(islice(trainer.updates(), 8))
                        assert checkpoint.load(out / str(number), 2, chunks, trainer.optimizer) == {"updates": 2}
                    began = any(state for single in trainer.optimizer.chained_optimizers for state in single.optimizer.state.values())
                    found.append((began, [(line["loss"], line["loss_scale"], "grad_norm" in line) for line in trainer.updates(2)]))
    return found


@pytest.mark.slow
def test_no_update_yet(tmp_path: Path) -> None:
    found = on_ranks(gone_on, 2, tmp_path / "o", groups=2 * len(WAYS), ways=WAYS, out=tmp_path)[0]
    for number, (name, saves, loads) in enumerate(WAYS):
        (began, straight), *others = found[3 * number : 3 * number + 3]
        updated = [done for *_, done in straight]
        assert not began and not updated[0] and sum(updated) >= 4, (name, straight)  # the scale was still too high, and then was not
        for began, again in others:
            assert not began, name
            if saves == loads:
                assert again == straight, name
            else:
                assert [line[1:] for line in again] == [line[1:] for line in straight], name
                assert [loss for loss, *_ in again] == pytest.approx([loss for loss, *_ in straight], rel=5e-3), name
