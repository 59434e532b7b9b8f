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
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelwright_plugins.engine.batches import Batches

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
    from modelwright_plugins.adapter.none import Whole
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.mixture.weights import Proportional
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32
    from modelwright_plugins.schedule.warmup import Constant
    from modelwright_plugins.stability.spikes import Finite

    parts = {"objective": CausalLM(), "optimizer": AdamW(), "schedule": Constant(warmup=0), "kernel": Torch(), "precision": FP32()}
    parts |= {"adapter": Whole(), "mixture": Proportional()}
    return {**parts, "parallel": Megatron(), "architecture": small_decoder(), "attention": Native(), "stability": Finite()}


def small_decoder(**changes: Any) -> Any:
    from modelwright_plugins.architecture.decoder import CausalDecoder

    return CausalDecoder(**{"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, **changes})


@dataclass(frozen=True)
class Counting:
    """Texts that count up in steps of their own: there is something to learn. Each is one document, as token 0 is not among them."""

    lengths: tuple[int, ...] = (LENGTH + 1,)

    def spans(self, number: int) -> tuple[NDArray[np.int64], ...]:
        import numpy as np

        each = ((number + 13 * place, length) for place, length in enumerate(self.lengths))
        return tuple((n * 37 + (n % 5 + 1) * np.arange(length)) % (VOCABULARY - 1) + 1 for n, length in each)


def batches(objective: Any) -> Batches:
    """Of counting texts; the objective's special tokens come after theirs."""
    from modelwright_plugins.engine.batches import Batches
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    special = {name: VOCABULARY + place for place, name in enumerate(objective.special_tokens)}
    vocabulary = Vocabulary(VOCABULARY + len(special), 0, special)
    return Batches(Counting(objective.spans(LENGTH)), objective, vocabulary, LENGTH, SEED)


def texts(rows: int = BATCH) -> torch.Tensor:
    """Counting texts as int64 [rows, LENGTH + 1]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.stack([Counting().spans(number)[0] for number in range(rows)]))


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
    from modelwright_plugins.engine.trainer import assembled

    return assembled(parts, batches(parts["objective"]), global_batch=BATCH, micro_batch=case.micro_batch, steps=case.steps)
