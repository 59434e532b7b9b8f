"""FP16: gradients are FP32's, an overflow lets one update pass and lowers the scale, and a checkpoint keeps the scale."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

from modelwright_plugins.precision import Precision
from modelwright_plugins.precision.floats import FP16, FP32

LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "one": ("adamw", {}),
    "tensor 2": ("adamw", {"tensor": 2}),
    "pipeline 2": ("adamw", {"pipeline": 2}),
    "cut": ("adamw", {"data": 2, "distributed_optimizer": True}),
    "shared out": ("muon", {"data": 2, "distributed_optimizer": True}),
}


class Watched:
    """An optimizer's updates: (done, norm of the gradient, the scale after it). The loop is told that each was done."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.seen, self.original = optimizer, [], optimizer.step
        optimizer.step = self.step

    def step(self) -> tuple[bool, float, None]:
        done, norm, _ = self.original()
        self.seen.append((done, norm, self.optimizer.loss_scale))
        return True, norm or 0.0, None


def trainer(name: str, precision: Precision) -> tuple[Any, Watched]:
    from modelwright_plugins.conformance.training import Case, _trainer, built_in
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron

    kind, layout = LAYOUTS[name]
    parts = {"precision": precision, "parallel": Megatron(**layout)} | ({"optimizer": Muon()} if kind == "muon" else {})
    made = _trainer({**built_in(), **parts}, Case(parts=parts, steps=8))
    return made, Watched(made.optimizer)


def turns(rank: int, cases: list[tuple[str, Precision]]) -> list[tuple[list[float], list[Any], bool] | None]:
    """Losses, what was watched, and whether all weights stayed as they were until the first update that was done."""
    import torch

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[tuple[list[float], list[Any], bool] | None] = []
    for number, (name, precision) in enumerate(cases):
        layout = Megatron(**LAYOUTS[name][1])
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=3):
            made, watched = trainer(name, precision)
            before = [p.detach().clone() for chunk in made.chunks for p in chunk.parameters()]
            losses, same = [], True
            for metrics in made.updates(0):
                losses.append(metrics["loss"])
                if not any(done for done, _, _ in watched.seen):
                    now = [p for chunk in made.chunks for p in chunk.parameters()]
                    same = same and all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
            found.append((losses, watched.seen, same))
    return found


@pytest.mark.slow
def test_gradients_are_those_of_fp32_and_an_overflow_lets_an_update_pass(tmp_path: Path) -> None:
    much = FP16(initial_scale=2.0**24, hysteresis=1, backoff=0.125)
    cases = [(name, precision) for name in LAYOUTS for precision in (FP32(), FP16(), much)]
    found = on_ranks(turns, 2, tmp_path, groups=len(cases), cases=cases)[0]
    for place, name in enumerate(LAYOUTS):
        (fp32, exact, _), (fp16, near, _), (_, lowered, unmoved) = found[3 * place : 3 * place + 3]
        assert fp16 == pytest.approx(fp32, rel=5e-3), name
        # without config.grad_scale_func the norm is 1,024 times too small, and losses under Adam are the same
        assert [norm for _, norm, _ in near] == pytest.approx([norm for _, norm, _ in exact], rel=0.02), name
        assert all(done for done, _, _ in near)
        passed = [done for done, _, _ in lowered].index(True)
        assert 0 < passed < 6 and not any(done for done, _, _ in lowered[:passed]) and all(done for done, _, _ in lowered[passed:]), name
        assert lowered[-1][2] == 2.0**24 * 0.125**passed, name
        assert unmoved, name
        assert [norm for _, norm, _ in lowered[passed : passed + 1]] == pytest.approx([exact[passed][1]], rel=0.2), name


def resumed(rank: int, ways: list[tuple[str, str]], out: Path) -> list[Any]:
    """For each way: losses and scales of four updates more in the first layout, and in the second from what the first saved after four."""
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    precision = FP16(initial_scale=2.0**19, hysteresis=1, growth_interval=5, backoff=0.125)
    found: list[Any] = []
    for number, way in enumerate(ways):
        for place, name in enumerate(way):
            layout = Megatron(**LAYOUTS[name][1])
            if rank >= layout.ranks(None):
                found.append(None)
                continue
            joined(rank, layout.ranks(None), 2 * number + place)
            with started(layout, seed=3):
                made, watched = trainer(name, precision)
                modules = [chunk.module for chunk in made.chunks]
                if place == 0:
                    list(islice(made.updates(0), 4))
                    (out / str(number)).mkdir(exist_ok=True)
                    checkpoint.save(out / str(number), 4, modules, made.optimizer, keep_last=None)
                else:
                    checkpoint.load(out / str(number), 4, modules, made.optimizer)
                inner = made.optimizer.chained_optimizers[0].optimizer
                counts = {int(state["step"]) for state in inner.state.values()}
                losses = [metrics["loss"] for metrics in made.updates(4)]
                found.append((losses, watched.seen[-4:], counts, [done for done, _, _ in watched.seen[:-4]]))
    return found


@pytest.mark.slow
def test_a_checkpoint_keeps_the_scale_and_counts_the_updates_that_were_done(tmp_path: Path) -> None:
    ways = [("one", "one"), ("one", "cut"), ("cut", "tensor 2")]
    found = on_ranks(resumed, 2, tmp_path, groups=2 * len(ways), ways=ways, out=tmp_path)[0]
    for number, way in enumerate(ways):
        (straight, scales, counts, done), (again, scales_again, counts_again, _) = found[2 * number : 2 * number + 2]
        assert counts_again == counts == {sum(done)} and 0 < sum(done) < 4, way
        assert [scale for *_, scale in scales_again] == [scale for *_, scale in scales], way
        assert len({scale for *_, scale in scales}) > 1, way  # it grew after five updates, of which the first were before the break
        assert again == (straight if way[0] == way[1] else pytest.approx(straight, rel=5e-3)), way


def scales(rank: int, overflows: str) -> list[float]:
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    with started(Megatron(), seed=3):
        scaler = FP16(initial_scale=8.0, growth_interval=3, hysteresis=2, min_scale=2.0).loss_scaler()
        found = []
        for letter in overflows:
            scaler.update(letter == "x")
            scaler.update(False)  # of the experts' optimizer
            scaler.settle()
            found.append(float(scaler.scale))
    return found


@pytest.mark.slow
def test_the_scale_by_hand(tmp_path: Path) -> None:
    # hysteresis 2: the first overflow leaves the scale; three updates without one double it and forgive
    found = on_ranks(scales, 1, tmp_path, overflows="x...xx..xx...")[0]
    assert found == [8, 8, 8, 16, 16, 8, 8, 8, 4, 2, 2, 2, 4]
    with pytest.raises(RuntimeError, match=r"overflows FP16 even at the smallest loss scale, precision\.min_scale=2"):
        on_ranks(scales, 1, tmp_path / "again", overflows="xxxxx")
