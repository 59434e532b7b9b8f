"""A few updates of a tiny model on ranks, with one part of it under test: what optimizers, layouts and the rest are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.component import Component
from modelwright_plugins.conformance.ranks import joined, on_ranks

if TYPE_CHECKING:
    import torch

VOCABULARY = 211  # odd: it is padded under tensor parallelism
LENGTH, BATCH, SEED = 32, 8, 3


@dataclass(frozen=True)
class Case:
    """One training: built-in parts, but for those named here."""

    parts: Mapping[str, Component]
    steps: int = 4
    micro_batch: int = 2
    resume_at: int | None = None  # saved after so many steps, and gone on with from what was saved


def losses(cases: list[Case], folder: Path, *, ranks: int) -> list[list[float]]:
    """The loss of each update of each case, a nat a token. A case runs on as many of the ranks as its layout has."""
    return [found for found in on_ranks(train, ranks, folder, groups=len(cases), cases=cases, out=folder)[0] if found is not None]


def train(rank: int, cases: list[Case], out: Path) -> list[list[float] | None]:
    """The losses of each case, on one rank; None where it has no part."""
    found: list[list[float] | None] = []
    for number, case in enumerate(cases):
        parts = {**built_in(), **case.parts}
        count = parts["parallel"].ranks(None)
        if rank < count:
            joined(rank, count, number)
            found.append(_losses(parts, case, out / f"checkpoint{number}"))
        else:
            found.append(None)
    return found


def built_in() -> dict[str, Any]:
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32
    from modelwright_plugins.schedule.warmup import Constant

    parts = {"objective": CausalLM(), "optimizer": AdamW(), "schedule": Constant(warmup=0), "kernel": Torch(), "precision": FP32()}
    return {**parts, "parallel": Megatron(), "architecture": small_decoder()}


def small_decoder(**changes: Any) -> Any:
    from modelwright_plugins.architecture.decoder import CausalDecoder

    return CausalDecoder(**{"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, **changes})


class Counting:
    """Batches of sequences that count up in steps of their own: there is something to learn."""

    size, length = BATCH, LENGTH

    def batch(self, number: int, part: int = 0, parts: int = 1) -> torch.Tensor:
        import torch

        rows = torch.arange(number * self.size, (number + 1) * self.size).chunk(parts)[part][:, None]
        return (rows * 37 + (rows % 5 + 1) * torch.arange(self.length + 1)) % (VOCABULARY - 1) + 1


def _losses(parts: Mapping[str, Any], case: Case, folder: Path) -> list[float]:
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started

    with started(parts["parallel"], seed=SEED):
        trainer = _trainer(parts, case)
        if case.resume_at is None:
            return [metrics["loss"] for metrics in trainer.updates(0)]
        before = [metrics["loss"] for metrics in islice(trainer.updates(0), case.resume_at)]
        folder.mkdir(exist_ok=True)
        checkpoint.save(folder, case.resume_at, [chunk.module for chunk in trainer.chunks], trainer.optimizer, keep_last=None)
        again = _trainer(parts, case)
        checkpoint.load(folder, case.resume_at, [chunk.module for chunk in again.chunks], again.optimizer)
        return before + [metrics["loss"] for metrics in again.updates(case.resume_at)]


def _trainer(parts: Mapping[str, Any], case: Case) -> Any:
    from modelwright_plugins.engine import model, optimizer
    from modelwright_plugins.engine.loop import Trainer

    how = {name: parts[name] for name in ("parallel", "precision", "kernel")}
    chunks = model.build(parts["architecture"], **how, vocab_size=VOCABULARY, sequence_length=LENGTH)
    model.initialise(chunks, parts["architecture"], seed=SEED, vocab_size=VOCABULARY)
    sharded = parts["parallel"].distributed_optimizer
    wrapped = model.distribute(chunks, precision=parts["precision"], sharded_gradients=sharded and parts["optimizer"].elementwise)
    updater = optimizer.wrapped(parts["optimizer"], wrapped, precision=parts["precision"], clip=1.0, sharded=sharded)
    batches: Any = Counting()
    return Trainer(wrapped, updater, parts["objective"], parts["schedule"], batches, case.micro_batch, case.steps, SEED)
