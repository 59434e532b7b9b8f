"""A trainer, put together from the components of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.engine import fake_quantized, model, optimizer
from modelwright_plugins.engine.data import Data
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.position import Ramp
from modelwright_plugins.engine.reference import Reference
from modelwright_plugins.stability.spikes import Finite

HOW = ("parallel", "precision", "kernel", "attention")
"""The kinds that say how a model is computed, and not what it is."""


def how(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: parts[kind] for kind in HOW}


def assembled(
    parts: Mapping[str, Any],
    batches: Data,
    *,
    global_batch: int | Ramp,
    micro_batch: int,
    steps: int,
    clip: float = 1.0,
    weights: Callable[[list[MegatronModule]], None] | None = None,
) -> Trainer:
    """`weights` sets the first weights; None: they are drawn, from the seed of `batches`."""
    architecture, size = parts["architecture"], batches.vocabulary.size
    chunks = model.build(architecture, **how(parts), vocab_size=size, sequence_length=batches.length)
    if weights is None:
        model.initialise(chunks, architecture, seed=batches.seed, vocab_size=size)
    else:
        weights(chunks)
    if "quantizer" in parts:  # a stage that is quantization_aware
        fake_quantized.attach(chunks, parts["quantizer"])
    teacher = parts["objective"].reference
    layout, sharded = parts["parallel"], parts["parallel"].distributed_optimizer
    wrapped = model.distribute(
        chunks,
        precision=parts["precision"],
        sharded_gradients=sharded and parts["optimizer"].elementwise,
        fully_sharded=layout.fully_sharded,
    )
    updater = optimizer.wrapped(parts["optimizer"], wrapped, precision=parts["precision"], clip=clip, sharded=sharded)
    return Trainer(
        wrapped,
        updater,
        parts["objective"],
        parts["schedule"],
        batches,
        ramp=Ramp(global_batch) if isinstance(global_batch, int) else global_batch,
        micro_batch=micro_batch,
        steps=steps,
        causal=architecture.causal,
        stability=parts.get("stability", Finite()),
        reference=None if teacher is None else Reference.of(teacher, batches, how(parts)),
    )
