"""AWQ: the scales and the clipping that llm-awq's loops find on the calibration's own tokens, nearer to the layer than rounding."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import OUTLIERS, inputs_of, layer, signal_to_noise

from modelwright_plugins.quantizer._awq import clipped, scaled
from modelwright_plugins.quantizer.awq import AWQ


def pseudo_quantized(row: torch.Tensor, bits: int, symmetric: bool) -> torch.Tensor:
    """Of llm-awq's quantizer.py, for one group of one row."""
    if symmetric:
        most = 2 ** (bits - 1) - 1
        scale = max(row.abs().max().item(), 1e-5) / most
        return torch.stack([(w / scale).round().clamp(-most - 1, most) * scale for w in row])
    low, high = min(row.min().item(), 0), max(row.max().item(), 0)  # ours alone: 0 is always among the levels
    scale = max(high - low, 1e-5) / (2**bits - 1)
    zero = min(max(-round(low / scale), 0), 2**bits - 1)
    return torch.stack([(((w / scale).round() + zero).clamp(0, 2**bits - 1) - zero) * scale for w in row])


def in_groups(weight: torch.Tensor, group: int, bits: int, symmetric: bool) -> torch.Tensor:
    return torch.stack([torch.cat([pseudo_quantized(part, bits, symmetric) for part in row.split(group)]) for row in weight])


def slowly_scaled(weight: torch.Tensor, x: torch.Tensor, group: int, bits: int, symmetric: bool) -> torch.Tensor:
    """Of auto_scale.py: `_search_module_scale`, of a module that is this layer."""
    best, least, out = None, float("inf"), x @ weight.T
    for step in range(20):
        scales = x.abs().mean(0).pow(step / 20).clamp(min=1e-4)
        scales = scales / (scales.max() * scales.min()).sqrt()
        loss = (x @ (in_groups(weight * scales, group, bits, symmetric) / scales).T - out).pow(2).mean().item()
        if loss < least:
            best, least = scales, loss
    assert best is not None
    return best


def slowly_clipped(weight: torch.Tensor, x: torch.Tensor, group: int, bits: int, symmetric: bool) -> torch.Tensor:
    """Of auto_clip.py: `auto_clip_layer`, with every token in the sample."""
    found = weight.clone()
    for row in found:
        for start in range(0, len(row), group):
            part, seen = row[start : start + group].clone(), x[:, start : start + group]
            best, least = part, float("inf")
            for step in range(10):
                limit = part.abs().max() * (1 - step / 20)
                cut = part.clamp(-limit, limit)
                error = (seen @ (pseudo_quantized(cut, bits, symmetric) - part)).pow(2).mean().item()
                if error < least:
                    best, least = cut, error
            row[start : start + group] = best
    return found


@pytest.mark.parametrize(("bits", "group", "symmetric"), [(3, 16, False), (4, 32, True)])
def test_both_searches_find_what_llm_awqs_find(bits: int, group: int, symmetric: bool) -> None:
    weight, x = layer(5, 32, 60, dtype=torch.float64)
    how: dict[str, Any] = {"group": group, "bits": bits, "symmetric": symmetric}
    divisor = scaled(weight, x.abs().mean(0), x.T @ x / len(x), **how, kept=lambda scale: scale)
    torch.testing.assert_close(divisor, slowly_scaled(weight, x, **how), rtol=1e-12, atol=0)
    assert divisor[list(OUTLIERS)].min() > 2 * divisor.median()
    wide, narrow = weight * divisor, x / divisor
    made = clipped(wide, narrow.T @ narrow / len(x), **how, kept=lambda scale: scale)
    torch.testing.assert_close(made, slowly_clipped(wide, narrow, **how), rtol=1e-12, atol=0)
    assert (made != wide).any()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_it_beats_rounding_to_the_same_levels_and_each_search_does(bits: int) -> None:
    weight, x = layer()
    for group in (0, 32):
        nearest, scales, cuts, both = (
            signal_to_noise(AWQ(bits=bits, group=group, scale=scale, clip=clip), weight, x)
            for scale, clip in ((False, False), (True, False), (False, True), (True, True))
        )
        assert min(scales, cuts) > nearest + 3 and both > max(scales, cuts)


def test_groups_whose_weights_are_of_one_sign_come_back() -> None:
    weight = torch.linspace(0.10, 0.11, 64).repeat(4, 1)
    weight[1::2] *= -1
    _, x = layer()
    for scale, clip in ((False, False), (True, True)):
        quantizer = AWQ(bits=4, group=8, scale=scale, clip=clip)
        back = quantizer.weight(quantizer.quantized(weight, inputs_of(x)))
        assert (back - weight).norm() < 0.05 * weight.norm()


def test_what_is_stored_is_packed_with_a_divisor_of_each_input() -> None:
    weight, x = layer()
    quantizer = AWQ(bits=4, group=32)
    stored = quantizer.quantized(weight, inputs_of(x))
    assert {name: (tuple(value.shape), value.dtype) for name, value in stored.items()} == {
        "codes": ((48, 32), torch.uint8), "scales": ((48, 2), torch.float16), "zeros": ((48, 2), torch.uint8),
        "divisors": ((64,), torch.float16),
    }  # fmt: skip
    halves = [{"divisors": stored["divisors"][at : at + 32], "codes": stored["codes"][:, at // 2 : at // 2 + 16]} for at in (0, 32)]
    parts = [quantizer.weight(half | {n: stored[n][:, k : k + 1] for n in ("scales", "zeros")}) for k, half in enumerate(halves)]
    assert torch.equal(torch.cat(parts, 1), quantizer.weight(stored))
