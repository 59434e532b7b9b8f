"""QAT: training computes with what will be stored in any layout, what was trained is what `quantize` stores, and beats rounding later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.conformance.ranks import joined, on_ranks

LAYOUTS: tuple[dict[str, Any], ...] = ({}, {"tensor": 2, "sequence": True}, {"pipeline": 2}, {"fully_sharded": True})
STEPS = 80


def trainings(rank: int) -> dict[str, Any]:
    from modelwright_plugins.parallel.megatron import Megatron

    found: dict[str, Any] = {"losses": []}
    for number, fields in enumerate(LAYOUTS):
        layout = Megatron(**fields)
        count = 2 if layout.fully_sharded else layout.ranks(None)
        if rank < count:
            joined(rank, count, number)
            found["losses"].append(losses(layout))
    if rank == 0:
        joined(rank, 1, len(LAYOUTS))
        found |= against_rounding_later()
    return found


def losses(layout: Any) -> list[float]:
    """Rows whose scale all tensor ranks share, tokens whose scale they share, and groups: two steps each."""
    from modelwright_plugins.conformance.training import built_in, small_decoder
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.quantizer.qat import QAT

    found = []
    parts = {**built_in(), "parallel": layout, "optimizer": AdamW(lr=1e-3, epsilon=1e-4), "architecture": small_decoder(qkv_bias=True)}
    with started(layout, seed=1):
        for quantizer in (QAT(bits=3, group=0, symmetric=False, activation_bits=6), QAT(bits=2, group=16)):
            parts["quantizer"] = quantizer
            found += [each[what] for each in trainer(parts, 2).updates(0) for what in ("loss", "grad_norm")]
    return found


def trainer(parts: dict[str, Any], steps: int, weights: Any = None) -> Any:
    from modelwright_plugins.conformance.training import BATCH, batches
    from modelwright_plugins.engine.trainer import assembled

    return assembled(parts, batches(parts["objective"]), global_batch=BATCH, micro_batch=BATCH // 2, steps=steps, weights=weights)


def against_rounding_later() -> dict[str, Any]:
    """A model trained plainly, then as long again: plainly, and with its rounding. Losses when both are quantized, and before."""
    import torch

    from modelwright_plugins.conformance.training import built_in, texts
    from modelwright_plugins.engine import quantized
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.quantizer.qat import QAT

    quantizer, found = QAT(bits=2, group=0), dict[str, Any]()
    parts = {**built_in(), "optimizer": AdamW(lr=1e-2)}

    def loss(chunks: list[Any]) -> float:
        tokens = texts(16)
        with torch.no_grad():
            out = chunks[0].eval()(tokens[:, :-1], torch.arange(tokens.shape[1] - 1).expand(len(tokens), -1), None)
        return float(torch.nn.functional.cross_entropy(out.flatten(0, 1), tokens[:, 1:].flatten()))

    with started(parts["parallel"], seed=1):
        first = trainer(parts, STEPS)
        list(first.updates(0))
        state = {name: value.clone() for name, value in first.chunks[0].module.state_dict().items() if value is not None}
        for name, more in (("plain", {}), ("aware", {"quantizer": quantizer})):
            further = trainer(
                {**parts, "optimizer": AdamW(lr=5e-3), **more}, STEPS, lambda chunks: chunks[0].load_state_dict(state, strict=False)
            )
            list(further.updates(0))
            chunks = [further.chunks[0].module]
            found[f"{name} before"] = loss(chunks)
            quantized.quantize(chunks, quantizer)
            found[f"{name} after"] = loss(chunks)
    return found


@pytest.mark.slow
def test_qat_trains_what_is_stored_and_beats_rounding_later(tmp_path: Path) -> None:
    found = on_ranks(trainings, 2, tmp_path, groups=len(LAYOUTS) + 1)[0]
    alone, *others = found["losses"]
    for layout, each in zip(LAYOUTS[1:], others, strict=True):
        assert each == pytest.approx(alone, rel=2e-4), layout  # a sum in another order may tip a weight over
    assert found["aware before"] == pytest.approx(found["aware after"], rel=1e-5), "what was trained is not what is stored"
    assert found["aware after"] < found["plain after"] - 0.15, found
    assert found["plain before"] < found["aware after"]
