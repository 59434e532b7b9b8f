"""Quantized layers where a model is not as most are: experts that no token comes to, shapes that don't fit, layers of another kernel."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelwright_plugins.conformance.ranks import joined, on_ranks

VOCAB, LENGTH = 50, 16


def _model(**changes: Any) -> Any:
    from modelwright_plugins.conformance.training import built_in, small_decoder
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.trainer import how

    architecture = small_decoder(**changes)
    chunks = model.build(architecture, **how(built_in()), vocab_size=VOCAB, sequence_length=LENGTH)
    model.initialise(chunks, architecture, seed=5, vocab_size=VOCAB)
    return TrainedModel([chunk.eval() for chunk in chunks], ModelCard(architecture, VOCAB, LENGTH, 0, 5), torch.device("cpu"))


def facts(rank: int) -> dict[str, Any]:
    from modelwright_plugins.engine import calibration, quantized
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.quantizer.fp8 import FP8
    from modelwright_plugins.quantizer.smoothquant import SmoothQuant

    found: dict[str, Any] = {}
    joined(rank, 1)
    with started(Megatron(), seed=5):
        tokens = torch.tensor([[1, 2, 3]])  # 2 tokens are asked about, for 8 experts
        model = _model(experts=8, expert_feed_forward=32)
        plain = model.token_losses(tokens)
        quantized.quantize(model.chunks, FP8(activations="batch"))
        found["fp8"] = plain, model.token_losses(tokens)
        model = _model(experts=8, expert_feed_forward=32)
        calibration.quantize(model, SmoothQuant(activations="batch"), tokens, batch=1, done=lambda: None)
        found["smoothquant"] = plain, model.token_losses(tokens)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(on_ranks(facts, 1, tmp_path_factory.mktemp("layers"))[0])


@pytest.mark.parametrize("name", ["fp8", "smoothquant"])
def test_experts_that_no_token_comes_to(found: dict[str, Any], name: str) -> None:
    plain, rounded = found[name]
    assert torch.isfinite(rounded).all() and not torch.equal(plain, rounded)
    assert torch.allclose(plain, rounded, atol=0.02)
