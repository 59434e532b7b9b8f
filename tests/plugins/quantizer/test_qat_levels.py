"""QAT: what passes see is what will be stored, and gradients go straight through, but for weights beyond the levels."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import layer, signal_to_noise

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.conformance.stage import default_parts
from modelwright_plugins.kernel.transformer_engine import TransformerEngine
from modelwright_plugins.quantizer.absmax import Absmax
from modelwright_plugins.quantizer.qat import QAT
from modelwright_plugins.stage.align import Align
from modelwright_plugins.stage.train import Train


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("group", [0, 16])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_training_sees_what_is_stored(bits: int, group: int, symmetric: bool) -> None:
    weight, x = layer()
    quantizer = QAT(bits=bits, group=group, symmetric=symmetric, activation_bits=8)
    seen, stored = quantizer.training_weight(weight), quantizer.quantized(weight, None)
    assert torch.equal(seen, quantizer.weight(stored))
    assert torch.equal(quantizer.training_input(x) @ seen.T, quantizer.forward(x, stored))
    assert all(len(row.unique()) <= 2**bits for part in seen.split(group or 64, 1) for row in part)


def test_gradients_go_straight_through_but_for_weights_beyond_the_levels() -> None:
    weight = torch.tensor([[0.9, -0.3, 0.1, -1.0, 0.96, 1.0, 0.15, -0.5]]).requires_grad_()
    quantizer = QAT(bits=4, group=0)  # a step is 2/15: 1.0 is 7.5 steps, and the last level 7
    made = quantizer.training_weight(weight)
    step = float(torch.tensor(2 / 15).half())
    assert made[0].tolist() == pytest.approx([step * n for n in (7, -2, 1, -8, 7, 7, 1, -4)], rel=1e-6)
    (made * torch.arange(1, 9)).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[1, 2, 3, 4, 5, 0, 7, 8]]
    x = torch.randn(3, 8, requires_grad=True)
    (QAT(activation_bits=4).training_input(x) * 2).sum().backward()
    assert x.grad is not None and bool((x.grad == 2).all())


def test_more_bits_are_nearer() -> None:
    weight, x = layer()
    found = [signal_to_noise(QAT(bits=bits, group=16), weight, x) for bits in (2, 3, 4, 6, 8)]
    assert all(one + 4 < other for one, other in pairwise(found))


@pytest.mark.parametrize(("fields", "told"), [
    ({"bits": 1}, "bits is 1; it is 2 to 8"), ({"group": -1}, "group is -1"),
    ({"activation_bits": 9}, "activation_bits is 9; it is 2 to 8"),
])  # fmt: skip
def test_settings_that_are_none(fields: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        QAT(**fields)  # type: ignore[arg-type]


def test_a_stage_uses_a_quantizer_only_where_it_trains_with_one() -> None:
    assert "quantizer" not in Train().uses and "quantizer" not in Align().uses  # another quantizer does not make them train again
    for stage in (Train(quantization_aware=True), Align(quantization_aware=True)):
        assert stage.uses[-1] == "quantizer"
        parts = default_parts((*stage.uses, "adapter"))
        said = " ".join(stage.parts_problems({**parts, "quantizer": Absmax(), "kernel": TransformerEngine(), "adapter": LoRA()}))
        assert "quantizer absmax rounds only what is trained already; quantizer=qat" in said
        assert "kernel=transformer_engine has others; kernel=torch" in said and "adapter lora freezes them" in said
        assert "quantization_aware" not in " ".join(stage.parts_problems({**parts, "quantizer": QAT()}))


def test_what_a_model_was_trained_for_is_what_is_stored(tmp_path: Path) -> None:
    from modelwright_plugins.engine.fake_quantized import check_trained, note

    assert not check_trained(tmp_path, QAT(bits=2))
    note(tmp_path, QAT(bits=2, symmetric=False))
    assert check_trained(tmp_path, QAT(bits=2, symmetric=False))
    with pytest.raises(ModelwrightError, match=r"^quantizer\.bits=4: .* was trained with quantizer\.bits=2, and what it was trained for"):
        check_trained(tmp_path, QAT(bits=4, symmetric=False))
