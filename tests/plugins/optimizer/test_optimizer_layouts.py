"""Optimizers that need whole matrices: in every layout they learn the same, and what one has saved, another goes on with."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.conformance.promise import close
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer.adafactor import Adafactor
from modelwright_plugins.optimizer.muon import Muon
from modelwright_plugins.optimizer.soap import SOAP

LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "tensor": {"tensor": 2},
    "shared out": {"data": 2, "distributed_optimizer": True},
    "pipeline": {"pipeline": 2},
    "tensor, shared out": {"tensor": 2, "data": 2, "distributed_optimizer": True},
}
WAYS: list[tuple[str, ...]] = [("one",), ("one", "one"), ("one", "tensor"), ("tensor", "one"), ("tensor", "shared out")]
WAYS += [("shared out", "pipeline"), ("pipeline", "tensor"), ("one", "tensor, shared out"), ("tensor, shared out", "pipeline")]
STEPS, SAVED = 9, 5
# Adafactor's clipping and relative rates hide from the losses what squares it has
OPTIMIZERS = [Adafactor(relative=False, lr=3e-3, clip=100.0), SOAP(rotate_every=3), Muon()]


def ways(rank: int, optimizer: Optimizer, out: Path) -> list[list[float]]:
    """The losses of each way, on one rank: in its first layout until it is saved, then in its second; or in one without a break."""
    from modelwright_plugins.conformance import training
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[list[float]] = []
    for number, way in enumerate(WAYS):
        losses: list[float] = []
        folder = out / f"way{number}"
        folder.mkdir(exist_ok=True)
        for half, layout in enumerate(way):
            parts = {**training.built_in(), "optimizer": optimizer, "parallel": Megatron(**LAYOUTS[layout])}
            # feed-forward layers are gated: a tensor rank has rows of both halves
            parts["architecture"] = training.small_decoder(activation="swiglu")
            if rank >= (count := parts["parallel"].ranks(None)):
                continue
            joined(rank, count, 2 * number + half)
            with started(parts["parallel"], seed=training.SEED):
                trainer = training._trainer(parts, training.Case(parts=parts, steps=STEPS))
                modules = [chunk.module for chunk in trainer.chunks]
                if half == 1:
                    checkpoint.load(folder, SAVED, modules, trainer.optimizer)
                first, last = SAVED if half == 1 else 0, SAVED if half < len(way) - 1 else STEPS
                losses += [metrics["loss"] for metrics in islice(trainer.updates(first), last - first)]
                if last == SAVED:
                    checkpoint.save(folder, SAVED, modules, trainer.optimizer, keep_last=None)
        found.append(losses)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_what_one_layout_has_saved_another_goes_on_with(optimizer: Optimizer, tmp_path: Path) -> None:
    straight, *others = on_ranks(ways, 4, tmp_path, groups=2 * len(WAYS), optimizer=optimizer, out=tmp_path)[0]
    for way, losses in zip(WAYS[1:], others, strict=True):
        assert close(straight, losses, 1e-5), f"{' -> '.join(way)}: {losses}, and on one rank {straight}"


def split_and_joined(rank: int) -> None:
    import torch

    from modelwright_plugins.engine.split import Split
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 2)
    with started(Megatron(tensor=2), seed=0):
        part = torch.nn.Parameter(torch.zeros(4, 3))
        assert Split.of(part, {}).ranks == 1  # nothing says that it is split
        part.tensor_model_parallel, part.partition_dim, part.partition_stride = True, 0, 2  # type: ignore[attr-defined]
        gate, other = torch.arange(12.0).view(4, 3), 100 + torch.arange(12.0).view(4, 3)
        mine = torch.cat([gate[2 * rank : 2 * rank + 2], other[2 * rank : 2 * rank + 2]])
        split = Split.of(part, {})
        assert split.shape(part) == (8, 3)
        assert torch.equal(whole := split.whole(mine), torch.cat([gate, other]))
        assert torch.equal(split.part(whole), mine)
        assert torch.equal(split.whole(mine[:, 0], 0), torch.cat([gate, other])[:, 0])
        part.partition_dim, part.partition_stride = 1, 1  # type: ignore[attr-defined]
        split = Split.of(part, {})
        assert split.shape(part) == (4, 6)
        assert torch.equal(split.whole(torch.full((4, 3), float(rank))), torch.tensor([0.0, 0, 0, 1, 1, 1]).expand(4, 6))
        assert split.total(torch.tensor(rank + 1.0)) == 3


@pytest.mark.slow
def test_parts_are_joined_in_the_order_of_one_rank(tmp_path: Path) -> None:
    on_ranks(split_and_joined, 2, tmp_path)
