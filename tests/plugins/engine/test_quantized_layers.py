"""Quantized layers where a model is not as most are: experts that no token comes to, shapes that don't fit, layers of another kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from modelwright.errors import ModelwrightError
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


def _refused(do: Any) -> str:
    with pytest.raises(ModelwrightError) as told:
        do()
    return str(told.value)


def test_what_an_expert_without_tokens_is_given_is_where_its_weight_is() -> None:
    """On a device that this machine has, whatever it has."""
    from types import SimpleNamespace

    from modelwright_plugins.engine.calibration import Watched

    site: Any = SimpleNamespace(layer=torch.nn.Linear(6, 2, device="meta"), split=SimpleNamespace(dim=1, ranks=2))
    inputs = Watched(site).inputs()
    assert {value.device.type for value in (inputs.hessian, inputs.largest, inputs.mean)} == {"meta"}
    assert inputs.hessian.shape == (12, 12) and inputs.tokens == 0


def facts(rank: int, out: str) -> dict[str, Any]:
    from modelwright.hooks import discover
    from modelwright_plugins.engine import calibration, fake_quantized, quantized, quantized_files
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.quantizer.absmax import Absmax
    from modelwright_plugins.quantizer.fp8 import FP8
    from modelwright_plugins.quantizer.gptq import GPTQ
    from modelwright_plugins.quantizer.qat import QAT
    from modelwright_plugins.quantizer.smoothquant import SmoothQuant

    found: dict[str, Any] = {}
    joined(rank, 1)
    with started(Megatron(), seed=5):
        tokens = torch.tensor([[1, 2, 3]])  # 2 tokens are asked about, for 8 experts
        model = _model(experts=8, expert_feed_forward=32)
        plain = model.token_losses(tokens)
        kept = quantized.quantize(model.chunks, FP8(activations="batch"))
        found["fp8"] = plain, model.token_losses(tokens)
        quantized_files.write(Path(out), kept, FP8(activations="batch"), discover().registry)
        with pytest.raises(
            ModelwrightError, match=r"has decoder\.layers\.0\.mlp\.experts\.local_experts\.0\.linear_fc1, and the model no such"
        ):
            quantized_files.load(Path(out), _model().chunks, discover().registry)
        found["of other modules"] = _refused(lambda: quantized.quantize([torch.nn.Linear(2, 2)], Absmax()))
        found["group"] = _refused(
            lambda: calibration.quantize(_model(width=64, feed_forward=96), GPTQ(group=64), tokens, batch=1, done=lambda: None)
        )
        found["group in training"] = _refused(lambda: fake_quantized.attach(_model(width=64, feed_forward=96).chunks, QAT(group=64)))
        model = _model(experts=8, expert_feed_forward=32)
        calibration.quantize(model, SmoothQuant(activations="batch"), tokens, batch=1, done=lambda: None)
        found["smoothquant"] = plain, model.token_losses(tokens)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(on_ranks(facts, 1, (folder := tmp_path_factory.mktemp("layers")), out=str(folder / "saved"))[0])


@pytest.mark.parametrize("name", ["fp8", "smoothquant"])
def test_experts_that_no_token_comes_to(found: dict[str, Any], name: str) -> None:
    plain, rounded = found[name]
    assert torch.isfinite(rounded).all() and not torch.equal(plain, rounded)
    assert torch.allclose(plain, rounded, atol=0.02)


def test_what_is_in_the_way_is_told_before_anything_is_done(found: dict[str, Any]) -> None:
    assert found["of other modules"].startswith("a quantizer rounds Megatron's own linear layers, and this model has none")
    for name in ("group", "group in training"):
        assert found[name] == "decoder.layers.0.mlp.linear_fc2: quantizer.group=64 does not divide the 96 inputs of a matrix"
