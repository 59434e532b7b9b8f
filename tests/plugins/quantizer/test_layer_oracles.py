"""What is made of one layer and its inputs beside llm-compressor, AutoAWQ, bitsandbytes and torchao (`record_layers.py` has written it)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import inputs_of
from record_layers import FILE, given

from modelwright_plugins.quantizer._awq import clipped, scaled
from modelwright_plugins.quantizer._gptq import gptq
from modelwright_plugins.quantizer._levels import Straight, fitted
from modelwright_plugins.quantizer.llm_int8 import LLMInt8

THEIRS = json.loads(FILE.read_text())


def same(scale: torch.Tensor) -> torch.Tensor:
    """Theirs aren't stored in 16 bits."""
    return scale


@pytest.mark.parametrize(("name", "bits", "group"), [("rows", 4, 0), ("order", 3, 16)])
def test_gptq_is_llm_compressors(name: str, bits: int, group: int) -> None:
    weight, x = given()
    how: dict[str, Any] = {"bits": bits, "group": group, "symmetric": True, "act_order": name == "order", "damping": 0.01, "block": 8}
    codes, *_ = gptq(weight, x.T @ x / len(x), **how, kept=same)
    theirs = torch.tensor(THEIRS[f"gptq {name}"]) + 2 ** (bits - 1)
    assert (codes == theirs).float().mean() > 0.999  # theirs are of an inverse in FP32


@pytest.mark.parametrize(("bits", "group", "symmetric"), [(3, 16, False), (4, 32, True)])
def test_awqs_searches_are_autoawqs(bits: int, group: int, symmetric: bool) -> None:
    (weight, x), theirs = given(), THEIRS[f"awq {bits} {group}"]
    how: dict[str, Any] = {"bits": bits, "group": group, "symmetric": symmetric, "kept": same}
    divisor = scaled(weight, x.abs().mean(0), x.T @ x / len(x), **how)
    torch.testing.assert_close(divisor, torch.tensor(theirs["divisor"]), rtol=1e-5, atol=0)
    wide, narrow = weight * divisor, x / divisor
    made = clipped(wide, narrow.T @ narrow / len(x), **how).view(64, -1, group).abs().amax(-1)
    limit = torch.tensor(theirs["limit"])
    assert ((made - limit).abs() < 1e-5 * limit).float().mean() > 0.99  # FP32 sums in another order may prefer the next step
    assert (limit < wide.view(64, -1, group).abs().amax(-1) * 0.99).any()


def test_llm_int8_is_bitsandbytes() -> None:
    weight, x = given()
    x, theirs = x.to(torch.bfloat16).float(), torch.tensor(THEIRS["llm_int8"])
    calm = inputs_of(x.clamp(-5, 5))  # no outlier is known: theirs keeps no weights in 16 bits
    found, out = LLMInt8().forward(x, LLMInt8().quantized(weight, calm)), x @ weight.T
    noise, far = (theirs - out).norm(), (found - theirs).norm()
    assert far < 0.15 * noise, (far / out.norm(), noise / out.norm())


def test_qats_rounding_and_its_gradient_are_torchaos() -> None:
    (weight, _), theirs = given(), THEIRS["qat"]
    parts = weight.requires_grad_().view(64, 2, 16)
    with torch.no_grad():
        scale, zero = fitted(parts.amin(-1, keepdim=True), parts.amax(-1, keepdim=True), 4, symmetric=True, kept=same)
        far = ((parts / scale).abs() - 7.5).abs().view(64, 32)  # the largest of a group lies between two levels: either is nearest
    made = Straight.apply(parts, scale, zero, 4).view(64, 32)
    made.sum().backward()
    assert weight.grad is not None
    clear = far > 1e-4
    assert clear.float().mean() > 0.9
    torch.testing.assert_close(made[clear], torch.tensor(theirs["made"])[clear], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight.grad[clear], torch.tensor(theirs["gradient"])[clear], rtol=1e-5, atol=0)  # 1, and 0 beyond the levels
    assert (torch.tensor(theirs["gradient"]) == 0).any() and (weight.grad == 0).any()
