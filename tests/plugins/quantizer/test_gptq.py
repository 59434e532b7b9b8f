"""GPTQ: the same numbers as optimal brain quantization in a fixed order, done the slow way, and nearer to the layer than rounding alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import inputs_of, layer, signal_to_noise

from modelwright.errors import ModelwrightError
from modelwright_plugins.quantizer import LayerInputs
from modelwright_plugins.quantizer._gptq import gptq
from modelwright_plugins.quantizer.gptq import GPTQ
from modelwright_plugins.quantizer.qat import QAT

NONE = LayerInputs(hessian=torch.zeros(64, 64), largest=torch.zeros(64), mean=torch.zeros(64), tokens=0)


def grid(weights: list[float], bits: int, symmetric: bool) -> tuple[float, int]:
    low, high = min(0.0, *weights), max(0.0, *weights)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    scale = (high - low) / (2**bits - 1)
    return scale, 2 ** (bits - 1) if symmetric else round(-low / scale)


def slowly(weight: torch.Tensor, hessian: torch.Tensor, bits: int, group: int, symmetric: bool, act_order: bool) -> list[list[int]]:
    """Row by row and input by input: equations 2 and 3 of the paper, with the remaining inputs' inverse computed anew each time."""
    inputs = len(hessian)
    group = group or inputs
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(inputs, dtype=hessian.dtype)
    order = sorted(range(inputs), key=lambda at: -hessian[at, at].item()) if act_order else [*range(inputs)]
    found = []
    for row in weight.clone():
        codes, grids = [0] * inputs, {}
        for place, at in enumerate(order):
            left = order[place:]
            start = at - at % group
            if start not in grids:
                before = weight[len(found)] if act_order else row  # static groups: scales of the weights as they were
                grids[start] = grid(before[start : start + group].tolist(), bits, symmetric)
            scale, zero = grids[start]
            codes[at] = min(max(round(row[at].item() / scale) + zero, 0), 2**bits - 1)
            inverse = torch.linalg.inv(damped[left][:, left])
            error = row[at] - scale * (codes[at] - zero)
            row[left] -= error / inverse[0, 0] * inverse[:, 0]
        found.append(codes)
    return found


@pytest.mark.parametrize(
    ("bits", "group", "symmetric", "act_order", "block"),
    [(4, 0, False, False, 8), (3, 8, True, False, 12), (2, 8, False, True, 5), (4, 0, True, True, 128), (3, 16, False, False, 4)],
)
def test_it_is_optimal_brain_quantization_in_a_fixed_order(bits: int, group: int, symmetric: bool, act_order: bool, block: int) -> None:
    weight, x = layer(6, 32, 200, factor=5.0, dtype=torch.float64)
    hessian = x.T @ x / len(x)
    how: dict[str, Any] = {"bits": bits, "group": group, "symmetric": symmetric, "act_order": act_order}
    codes, scales, zeros = gptq(weight, hessian, **how, damping=0.01, block=block, kept=lambda scale: scale)
    assert codes.int().tolist() == slowly(weight, hessian, **how)
    assert scales.shape == zeros.shape == (6, 32 // (group or 32))


def test_a_block_changes_nothing_but_speed() -> None:
    weight, x = layer(dtype=torch.float64)
    found = [GPTQ(bits=3, group=16, block=block).quantized(weight, inputs_of(x)) for block in (1, 16, 24, 512)]
    assert all(torch.equal(one["codes"], found[0]["codes"]) and torch.equal(one["scales"], found[0]["scales"]) for one in found)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("group", [0, 32])
def test_it_beats_rounding_to_the_same_levels(bits: int, group: int) -> None:
    weight, x = layer()
    nearest = signal_to_noise(QAT(bits=bits, group=group, symmetric=False), weight, x)  # the same levels, each weight for itself
    assert signal_to_noise(GPTQ(bits=bits, group=group), weight, x) > nearest
    assert signal_to_noise(GPTQ(bits=bits, group=group, act_order=True), weight, x) > nearest + 2


def test_inputs_that_are_never_there_are_rounded_for_themselves() -> None:
    weight, x = layer()
    x[:, 3] = 0
    for given, columns in ((x, [3]), (x[:0], [*range(64)])):  # x[:0]: an expert that no token came to
        inputs = inputs_of(given) if len(given) else NONE
        for act_order in (False, True):
            made, nearest = GPTQ(group=0, act_order=act_order), QAT(group=0, symmetric=False)
            alone = nearest.weight(nearest.quantized(weight, None))
            assert torch.equal(made.weight(made.quantized(weight, inputs))[:, columns], alone[:, columns])


def test_too_little_damping_is_told() -> None:
    weight, _ = layer()
    with pytest.raises(ModelwrightError, match=r"quantizer\.damping=1e-30 is too small"):
        GPTQ(damping=1e-30, group=0).quantized(weight, inputs_of(torch.ones(3, 64)))


def test_what_is_stored_is_packed_and_reads_as_it_was_made() -> None:
    weight, x = layer()
    quantizer = GPTQ(bits=4, group=32)
    stored = quantizer.quantized(weight, inputs_of(x))
    assert {name: (tuple(value.shape), value.dtype) for name, value in stored.items()} == {
        "codes": ((48, 32), torch.uint8), "scales": ((48, 2), torch.float16), "zeros": ((48, 2), torch.uint8),
    }  # fmt: skip
    how: dict[str, Any] = {"bits": 4, "group": 32, "symmetric": False, "act_order": False, "damping": 0.01, "block": 128}
    codes, scales, zeros = gptq(weight, x.T @ x / len(x), **how)
    groups = codes.view(48, 2, 32)
    assert torch.equal(quantizer.weight(stored), ((groups - zeros[..., None]) * scales[..., None]).view(48, 64))
