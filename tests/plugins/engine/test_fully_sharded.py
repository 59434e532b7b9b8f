"""Data ranks that share out weights, gradients and the optimizer's state learn what one rank learns, and their checkpoints are as any.

The vocabulary of 211 is no multiple of the ranks: rows are shared out unevenly.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

from modelwright_plugins.precision import Precision
from modelwright_plugins.precision.floats import BF16, FP16, FP32

LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "one, sharded": {"data": 1, "fully_sharded": True},
    "data 2": {"data": 2, "fully_sharded": True},
    "data 2, recompute": {"data": 2, "fully_sharded": True, "recompute": "full"},
    "data 4": {"data": 4, "fully_sharded": True},
    "tensor 2, data 2": {"data": 2, "tensor": 2, "sequence": True, "fully_sharded": True},
    "cut": {"data": 2, "distributed_optimizer": True},
    "tensor 2, pipeline 2": {"tensor": 2, "pipeline": 2},
}
SHARDED = [name for name, layout in LAYOUTS.items() if "fully_sharded" in layout]


def trainer(layout: str, precision: Precision, architecture: dict[str, Any], steps: int, **others: Any) -> Any:
    from modelwright_plugins.conformance.training import Case, _trainer, built_in, small_decoder
    from modelwright_plugins.parallel.megatron import Megatron

    parts = {"parallel": Megatron(**LAYOUTS[layout]), "precision": precision, "architecture": small_decoder(**architecture)} | others
    return _trainer({**built_in(), **parts}, Case(parts=parts, steps=steps, micro_batch=1))


def learned(rank: int, cases: list[tuple[str, Precision, dict[str, Any]]]) -> list[list[tuple[float, float]] | None]:
    """(loss, norm of the gradient) of each of eight updates."""
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[list[tuple[float, float]] | None] = []
    for number, (name, precision, architecture) in enumerate(cases):
        layout = Megatron(**LAYOUTS[name])
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=3):
            made = trainer(name, precision, architecture, 8)
            if name in SHARDED:  # a rank has its rows, and no more
                kept = sum(p.to_local().numel() for chunk in made.chunks for p in chunk.parameters())
                whole = sum(p.numel() for chunk in made.chunks for p in chunk.parameters())
                ranks = layout.ranks(None) // layout.tensor
                assert kept <= whole / ranks * 1.05
            found.append([(m["loss"], m["grad_norm"]) for m in made.updates(0)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", [{}, {"qk_norm": True, "tied_embeddings": False}, {"norm": "layer", "bias": True, "position": "learned"}], ids=str
)
def test_fully_sharded_learns_what_one_rank_learns(tmp_path: Path, architecture: dict[str, Any]) -> None:
    cases: list[tuple[str, Precision, dict[str, Any]]] = [(name, FP32(), architecture) for name in ["one", *SHARDED]]
    one, *others = on_ranks(learned, 4, tmp_path, groups=len(cases), cases=cases)[0]
    assert one[-1][0] < one[0][0]
    for name, found in zip(SHARDED, others, strict=True):
        for now, then in zip(found, one, strict=True):
            assert now[0] == pytest.approx(then[0], rel=1e-5), name
            assert now[1] == pytest.approx(then[1], rel=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize("precision", [BF16(), FP16()], ids=["bf16", "fp16"])
def test_fully_sharded_in_half_precision(tmp_path: Path, precision: Precision) -> None:
    cases = [("one", FP32(), {}), ("one", precision, {}), ("data 2", precision, {}), ("tensor 2, data 2", precision, {})]
    exact, *others = on_ranks(learned, 4, tmp_path, groups=len(cases), cases=cases)[0]
    for found in others:
        assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in exact], rel=5e-3)
        assert [norm for _, norm in found][:4] == pytest.approx([norm for _, norm in exact][:4], rel=0.05)


def reloaded(rank: int, ways: list[tuple[str, str]], precision: Precision, out: Path) -> list[list[float] | None]:
    """Losses of the last three of six updates: in the first layout of each way, and in the second from what the first saved."""
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[list[float] | None] = []
    for number, way in enumerate(ways):
        for place, name in enumerate(way):
            layout = Megatron(**LAYOUTS[name])
            if rank >= layout.ranks(None):
                found.append(None)
                continue
            joined(rank, layout.ranks(None), 2 * number + place)
            with started(layout, seed=3):
                made = trainer(name, precision, {}, 6)
                modules = [chunk.module for chunk in made.chunks]
                if place == 0:
                    list(islice(made.updates(0), 3))
                    (out / str(number)).mkdir(exist_ok=True)
                    checkpoint.save(out / str(number), 3, modules, made.optimizer, keep_last=None)
                else:
                    checkpoint.load(out / str(number), 3, modules, made.optimizer)
                found.append([m["loss"] for m in made.updates(3)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("precision", [FP32(), BF16()], ids=["fp32", "bf16"])
def test_a_checkpoint_of_rows_loads_in_any_layout(tmp_path: Path, precision: Precision) -> None:
    ways = [("data 2", "data 2"), ("data 2", "one"), ("one", "data 2"), ("data 4", "tensor 2, data 2"), ("tensor 2, data 2", "cut")]
    ways += [("cut", "data 4"), ("data 2", "tensor 2, pipeline 2"), ("tensor 2, pipeline 2", "data 4")]
    found = on_ranks(reloaded, 4, tmp_path, groups=2 * len(ways), ways=ways, precision=precision, out=tmp_path)[0]
    close = 1e-5 if isinstance(precision, FP32) else 2e-3
    for number, way in enumerate(ways):
        straight, again = found[2 * number : 2 * number + 2]
        assert again == (straight if way[0] == way[1] else pytest.approx(straight, rel=close)), way


def refused(rank: int) -> str:
    from modelwright.errors import ModelwrightError
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron

    with started(Megatron(), seed=3):
        try:
            trainer("one, sharded", FP32(), {}, 1, optimizer=Muon())
        except ModelwrightError as e:
            return str(e)
    return ""


@pytest.mark.slow
def test_an_optimizer_of_whole_matrices_is_refused(tmp_path: Path) -> None:
    assert "cuts matrices into rows, and this optimizer wants them whole" in on_ranks(refused, 1, tmp_path)[0]
