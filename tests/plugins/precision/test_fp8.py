"""FP8 as far as it goes without a GPU: what Megatron is told, and why it can't be trained in here or there."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.command.doctor import checkup
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.kernel.transformer_engine import TransformerEngine
from modelwright_plugins.precision import cuda, fp8
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.precision.fp8 import FP8, MXFP8, FP8Blockwise, FP8Current, FP8Delayed

ALL = [FP8Delayed(), FP8Current(), FP8Blockwise(), MXFP8()]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (
            FP8Delayed(history=16, largest="most_recent", margin=1),
            {"fp8": "hybrid", "fp8_recipe": "delayed", "fp8_amax_history_len": 16, "fp8_amax_compute_algo": "most_recent", "fp8_margin": 1},
        ),
        (FP8Current(), {"fp8": "hybrid", "fp8_recipe": "tensorwise"}),
        (
            FP8Current(first_layers_bf16=1),
            {
                "fp8": "hybrid",
                "fp8_recipe": "tensorwise",
                "first_last_layers_bf16": True,
                "num_layers_at_start_in_bf16": 1,
                "num_layers_at_end_in_bf16": 0,
            },
        ),
        (FP8Blockwise(), {"fp8": "e4m3", "fp8_recipe": "blockwise"}),
        (MXFP8(format="hybrid"), {"fp8": "hybrid", "fp8_recipe": "mxfp8"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_megatron_is_told(precision: FP8, expected: dict[str, Any]) -> None:
    import torch

    assert precision.settings() == {"params_dtype": torch.bfloat16, "bf16": True, **expected}


@pytest.mark.slow
def test_megatron_takes_it() -> None:
    from megatron.core.transformer.transformer_config import TransformerConfig

    for precision in [*ALL, FP8Current(first_layers_bf16=1, last_layers_bf16=1)]:
        config = TransformerConfig(num_layers=4, hidden_size=64, num_attention_heads=4, **precision.settings())
        assert config.fp8_recipe == precision.recipe


GPUS = {(8, 0): set(), (8, 9): {"fp8_delayed", "fp8_current"}, (9, 0): {"fp8_delayed", "fp8_current", "fp8_blockwise"}}
GPUS |= {(10, 0): {p.name for p in ALL}, (10, 3): {p.name for p in ALL}, (12, 0): {p.name for p in ALL} - {"mxfp8"}}


@pytest.mark.parametrize("capability", GPUS)
def test_which_gpu_has_which(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(fp8, "device", lambda: cuda.Device("card", capability, (12, 9)))
    can = {precision.name for precision in ALL if not precision.problems(TransformerEngine())}
    assert can == GPUS[capability]
    for precision in ALL:
        if precision.name not in can:
            (why,) = precision.problems(TransformerEngine())
            assert why.startswith(f"precision={precision.name} needs an NVIDIA GPU of compute capability ")
            assert f"here is card (compute capability {capability[0]}.{capability[1]}, CUDA 12.9)" in why


def test_blockwise_needs_a_new_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "device", lambda: cuda.Device("card", (9, 0), (12, 8)))
    (why,) = FP8Blockwise().problems(TransformerEngine())
    assert "CUDA 12.9 or newer, and here is card (compute capability 9.0, CUDA 12.8)" in why
    assert not FP8Current().problems(TransformerEngine())


def test_it_says_which_kernel_and_that_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "device", lambda: None)
    first, second = FP8Delayed().problems(Torch())
    assert first == "precision=fp8_delayed needs kernel=transformer_engine"
    assert second.startswith("precision=fp8_delayed needs an NVIDIA GPU of compute capability 8.9 or more")
    assert second.endswith("this machine has no CUDA device; precision=bf16 runs here")
    assert FP32().problems(Torch()) == []


def test_doctor_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "device", lambda: cuda.Device("card", (9, 0), (12, 9)))
    monkeypatch.setattr(TransformerEngine, "problems", lambda self: [])
    said = {line.split()[0]: line for line in checkup() if line.startswith("  ")}
    assert said["fp32"].endswith("can be trained in here") and said["fp8_blockwise"].endswith("can be trained in here")
    assert "precision=mxfp8 needs an NVIDIA GPU of compute capability 10.x" in said["mxfp8"]


@pytest.mark.parametrize(
    ("kind", "wrong"), [(FP8Delayed, {"history": 0}), (FP8Delayed, {"margin": -1}), (MXFP8, {"last_layers_bf16": -1})], ids=str
)
def test_wrong_settings_are_refused(kind: type[FP8], wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        kind(**wrong)
