"""A small model with an adapter, trained on ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelwright_plugins.conformance.ranks import joined

SIZES = {"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, "qkv_bias": True, "feed_forward": 64}
VOCABULARY, SEED, STEPS = 211, 3, 4


@dataclass(frozen=True)
class Case:
    adapter: Any
    layout: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)

    @property
    def ranks(self) -> int:
        from modelwright_plugins.parallel.megatron import Megatron

        return Megatron(**self.layout).ranks(None)


def train(rank: int, cases: list[Case]) -> list[dict[str, Any] | None]:
    """What each case's steps have shown on this rank; None where it has no part."""
    found: list[dict[str, Any] | None] = []
    for number, case in enumerate(cases):
        if rank < case.ranks:
            joined(rank, case.ranks, number)
            found.append(_trained(case))
        else:
            found.append(None)
    return found


def _trained(case: Case) -> dict[str, Any]:
    """Losses; the last step's gradients and the weights, each part as (name, offset, what)."""
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.conformance.training import batches, built_in
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron

    # with less to divide by Adam makes whole steps of gradients that are nothing but rounding
    parts = {**built_in(), "parallel": Megatron(**case.layout), "optimizer": AdamW(lr=3e-3, epsilon=1e-4)}
    parts["architecture"] = CausalDecoder(**{**SIZES, **case.model})

    def weights(chunks: list[Any]) -> None:
        model.initialise(chunks, parts["architecture"], seed=SEED, vocab_size=VOCABULARY)
        case.adapter.apply(chunks, seed=SEED)

    with started(parts["parallel"], seed=SEED):
        trainer = assembled(parts, batches(parts["objective"]), global_batch=8, micro_batch=2, steps=STEPS, weights=weights)
        chunks: list[Any] = [chunk.module for chunk in trainer.chunks]
        before = _buffers(chunks)
        metrics = list(trainer.updates(0))
        values = _parts(chunks)
        for p in (p for chunk in chunks for p in chunk.parameters() if p.requires_grad):
            p.data.copy_(p.main_grad)
        told = {"buffers": [before, _buffers(chunks)]}
        return {"metrics": metrics, "weights": values, "gradients": _parts(chunks), **told}


def _buffers(chunks: list[Any]) -> dict[str, Any]:
    """What is kept of a model and is no weight."""
    kept = [{*chunk.state_dict()} for chunk in chunks]
    return {
        name: value.detach().clone().numpy()
        for chunk, names in zip(chunks, kept, strict=True)
        for name, value in chunk.named_buffers()
        if name in names
    }


def _parts(chunks: list[Any]) -> list[tuple[str, tuple[int, ...], Any]]:
    from modelwright_plugins.engine import model

    return [(name, tuple(offset), data.detach().numpy().copy()) for name, data, _, offset in model.named_parts(chunks)]
