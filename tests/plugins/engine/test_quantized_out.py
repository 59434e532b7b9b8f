"""What is exported of a quantized model is in the formats of others what ours computes with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "stage"))
sys.path.insert(0, str(Path(__file__).parent))
from exported_models import tokenizer
from quantized_models import CASES, asked, loaded, made
from ranks import on_ranks
from unpacking import bnb

from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.engine.quantized_formats import Matrix, format_of
from modelwright_plugins.quantizer import Quantizer
from modelwright_plugins.quantizer.absmax import Absmax
from modelwright_plugins.quantizer.awq import AWQ
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.quantizer.gptq import GPTQ
from modelwright_plugins.quantizer.nf4 import NF4
from modelwright_plugins.quantizer.none import Unquantized
from modelwright_plugins.quantizer.qat import QAT


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quantized")
    tokenizer(out / "tokenizer")
    on_ranks(made, 1, out / "made", groups=1, out=str(out))
    return out


@pytest.mark.slow
def test_what_is_written_is_what_the_formats_say(folders: Path) -> None:
    for name, far in elsewhere(asked, str(folders), folder=folders / "asked").items():
        assert far < (1e-3 if name.startswith("awq") else 2e-2 if name == "llm_int8" else 1e-5), (name, far)
    told = {name: json.loads((folders / name / "hugging_face" / "config.json").read_text())["quantization_config"] for name in CASES}
    assert told["gptq"]["checkpoint_format"] == "gptq_v2" and told["gptq_3"]["checkpoint_format"] == "gptq"
    assert told["awq"]["modules_to_not_convert"] == ["lm_head", *(f"model.layers.{n}.self_attn.o_proj" for n in range(2))]
    assert told["awq_alike"]["modules_to_not_convert"] == ["lm_head"]
    card = (folders / "awq" / "hugging_face" / "README.md").read_text()
    assert "# pip install gptqmodel\nfrom transformers import pipeline" in card
    names = json.loads((folders / "nf4" / "hugging_face" / "model.safetensors.index.json").read_text())["weight_map"]
    nested = {name.split(".")[-3] for name in names if name.endswith(".nested_absmax")}
    assert nested == {"o_proj", "gate_proj", "up_proj", "down_proj"}  # 256 scales of q, k and v are not neighbours


@pytest.mark.slow
@pytest.mark.parametrize("method, package", [("compressed-tensors", "compressed_tensors"), ("bitsandbytes", "bitsandbytes")])
def test_the_library_reads_it(folders: Path, method: str, package: str) -> None:
    pytest.importorskip(package)
    found: dict[str, Any] = elsewhere(loaded, str(folders), method, folder=folders / package)
    assert len(found) > 3
    for name, told in found.items():
        assert not told["wrong"], (name, told)
        if method == "bitsandbytes":
            assert len(told["matrices"]) == 14 and max(told["matrices"]) < 1e-6 and min(told["logits"]) < 0.03, (name, told)
        elif name.startswith("zero_point"):
            assert told["logits"][0] < 1e-3, (name, told)  # its matrices are of FP16, as scales are
        else:
            rounds = name.startswith("smoothquant")  # a number in thousands tips over: weights alone are 0.013 and 0.083 off
            assert told["logits"][-1 if rounds else 0] < (6e-3 if rounds else 1e-5), (name, told)


def test_scales_of_scales_stay_where_theirs_are_neighbours() -> None:
    quantizer = NF4(block=32)
    weight = torch.randn(768, 64, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.1, 1, 768)[:, None]
    stored, (_, form) = quantizer.quantized(weight, None), format_of(quantizer)
    for rows, nested in ((np.arange(256, 512), True), (np.arange(64, 192), False), (np.arange(384, 400), True)):
        matrix = Matrix(len(rows), 64, rows, torch.float32)
        made = form.packed(quantizer, form.part(stored, rows), matrix)
        assert {name: (value.shape, value.dtype) for name, value in made.items()} == form.tensors(quantizer, matrix)
        assert ("weight.nested_absmax" in made) == nested
        found = bnb({**made}, form.config(quantizer, [], torch.float32))
        assert np.abs(found - quantizer.weight(stored)[rows].numpy()).max() < 1e-6


def test_sizes_that_have_no_place() -> None:
    with pytest.raises(ModelwrightError, match="it has 24 outputs, and words of 3-bit codes have 32 of them"):
        format_of(GPTQ(bits=3))[1].tensors(GPTQ(bits=3), Matrix(24, 64, None, torch.float32))


@pytest.mark.parametrize(
    "quantizer, why",
    [
        (FP8(format="e5m2"), "quantizer.format=e5m2"),
        (FP8(group=32), "quantizer.group=32 of FP8"),
        (FP8(activations="token", activation_format="e5m2"), "quantizer.activation_format=e5m2"),
        (AWQ(bits=3), "awq's files, which have no place for quantizer.bits=3"),
        (Absmax(bits=5), "what Absmax stores would go into gptq's files, which have no place for quantizer.bits=5"),
        (QAT(bits=8, activation_bits=8), "quantizer.activation_bits=8"),
        (Unquantized(), "no published format holds what Unquantized stores"),
    ],
)
def test_what_no_format_holds(quantizer: Quantizer, why: str) -> None:
    with pytest.raises(ModelwrightError, match=r"formats that exist: gptq \(2, 3, 4, 8 bits\), awq \(4 bits\)") as told:
        format_of(quantizer)
    assert why in str(told.value) and "\n" not in str(told.value)
