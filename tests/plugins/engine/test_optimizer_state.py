"""Any elementwise optimizer is cut up over data ranks, and its state in a checkpoint loads into any layout.

What is saved after three updates in one layout and gone on with in another gives the losses of one rank without a break: a mean of
gradients that is lost, left behind, or another parameter's changes them by far more than 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ranks import joined, on_ranks

from modelwright_plugins.optimizer import Optimizer

LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "data": {"data": 2},
    "cut": {"data": 2, "distributed_optimizer": True},
    "cut 4": {"data": 4, "distributed_optimizer": True},
    "tensor, cut": {"data": 2, "tensor": 2, "distributed_optimizer": True},
    "pipeline, cut": {"data": 2, "pipeline": 2, "distributed_optimizer": True},
    "tensor, pipeline": {"tensor": 2, "pipeline": 2},
}
WAYS = [("one", "cut"), ("cut", "one"), ("cut", "cut 4"), ("cut 4", "tensor, pipeline"), ("tensor, cut", "pipeline, cut")]
WAYS += [("pipeline, cut", "data"), ("tensor, pipeline", "tensor, cut")]


@dataclass(frozen=True, kw_only=True)
class Of(Optimizer):
    """An optimizer of torch's, or of this file, by name."""

    elementwise: ClassVar[bool] = True
    name: str
    lr: float = 0.05

    def build(self, groups: list[dict[str, Any]]) -> Any:
        import torch

        for group in groups:
            group |= {"lr": self.lr, "weight_decay": 0.0 if group["role"] == "vector" else 0.1}
        makers: dict[str, Callable[..., Any]] = {
            "sgd": lambda g: torch.optim.SGD(g, momentum=0.9),  # momentum_buffer, no step
            "plain sgd": lambda g: torch.optim.SGD(g),  # no state
            "adam": lambda g: torch.optim.Adam(g, betas=(0.8, 0.9), amsgrad=True),  # three tensors and a step
            "rmsprop": lambda g: torch.optim.RMSprop(g, momentum=0.5, centered=True),
            "lion": lion(),
        }
        return makers[self.name](groups)

    def state_bytes(self, role: str) -> int:
        return 0


def lion() -> Any:
    import torch

    class Lion(torch.optim.Optimizer):
        """Chen et al. 2023, Algorithm 2."""

        def __init__(self, groups: Any) -> None:
            super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in (p for p in group["params"] if p.grad is not None):
                    mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_((0.9 * mean + 0.1 * p.grad).sign_(), alpha=group["lr"])
                    mean.lerp_(p.grad, 0.01)

    return Lion


SPEED = {"sgd": 0.3, "plain sgd": 0.5, "adam": 0.01, "rmsprop": 0.003, "lion": 0.002}


def trained(rank: int, name: str, ways: list[tuple[str, str]], out: Path) -> list[list[float] | None]:
    """Losses of six updates in the first layout of `LAYOUTS`, and then of the last three of each way."""
    from modelwright_plugins.conformance.training import SEED, Case, _trainer, built_in
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    def case(layout: str) -> tuple[Case, dict[str, Any]]:
        parts = {"optimizer": Of(name=name, lr=SPEED[name]), "parallel": Megatron(**LAYOUTS[layout])}
        return Case(parts=parts, steps=6, micro_batch=1), {**built_in(), **parts}

    found: list[list[float] | None] = []
    group = 0
    for layout in LAYOUTS:
        this, parts = case(layout)
        if rank < (count := parts["parallel"].ranks(None)):
            joined(rank, count, group)
            with started(parts["parallel"], seed=SEED):
                trainer = _trainer(parts, this)
                losses = [m["loss"] for m in islice(trainer.updates(0), 3)]
                (out / layout).mkdir(exist_ok=True)
                checkpoint.save(out / layout, 3, [c.module for c in trainer.chunks], trainer.optimizer, keep_last=None)
                found.append(losses + [m["loss"] for m in trainer.updates(3)])
        else:
            found.append(None)
        group += 1
    for saved, layout in ways:
        this, parts = case(layout)
        if rank < (count := parts["parallel"].ranks(None)):
            joined(rank, count, group)
            with started(parts["parallel"], seed=SEED):
                trainer = _trainer(parts, this)
                checkpoint.load(out / saved, 3, [c.module for c in trainer.chunks], trainer.optimizer)
                found.append([m["loss"] for m in trainer.updates(3)])
        else:
            found.append(None)
        group += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "plain sgd", "adam", "rmsprop", "lion"])
def test_an_elementwise_optimizer_loads_in_any_layout(tmp_path: Path, name: str) -> None:
    ways = WAYS if name in ("sgd", "adam") else WAYS[:2]
    found = on_ranks(trained, 4, tmp_path, groups=len(LAYOUTS) + len(ways), name=name, ways=ways, out=tmp_path)
    one = found[0][0]
    assert one[-1] < one[0] - 0.05
    for place, layout in enumerate(LAYOUTS):
        assert found[0][place] == pytest.approx(one, rel=1e-5), layout
    for place, way in enumerate(ways, len(LAYOUTS)):
        assert found[0][place] == pytest.approx(one[3:], rel=1e-5), way
