"""Codes and scales of one matrix beside those of torchao and bitsandbytes (`record_oracles.py` wrote theirs down)."""

from __future__ import annotations

import json

import pytest
import torch
from record_oracles import FILE, matrix

from modelwright_plugins.quantizer._packing import unpacked
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.quantizer.nf4 import NF4
from modelwright_plugins.quantizer.zero_point import ZeroPoint

THEIRS = json.loads(FILE.read_text())


@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_zero_point_is_torchaos_asymmetric(bits, group):
    theirs, stored = THEIRS[f"zero_point {bits} {group}"], ZeroPoint(bits=bits, group=group).quantized(matrix(), None)
    assert torch.equal(stored["scales"].float().flatten(), torch.tensor(theirs["scales"]).flatten())
    zeros = torch.tensor(theirs["zeros"]).view_as(stored["zeros"])  # of the scale before it was FP16: one of 16 lies near the middle
    assert (stored["zeros"].int() != zeros).sum() <= 1
    mine, others = unpacked(stored["codes"], bits).view(8, -1, group), torch.tensor(theirs["codes"]).view(8, -1, group)
    off = ((mine.int() - stored["zeros"].int()[..., None]) - (others - zeros[..., None])).abs()
    assert off.max() <= 1 and (off > 0).sum() <= 2  # of 512: they multiply by 1 / scale, and clamp


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_fp8_is_torchaos(name):
    theirs, stored = THEIRS[f"fp8 {name}"], FP8(format=name).quantized(matrix(), None)
    assert torch.equal(stored["codes"].view(torch.uint8).int(), torch.tensor(theirs["codes"]))
    assert torch.equal(stored["scales"], torch.tensor(theirs["scales"]))


def test_nf4_is_bitsandbytes():
    stored = NF4(double=False).quantized(matrix(), None)
    assert torch.equal(stored["codes"].int(), torch.tensor(THEIRS["nf4"]["codes"]))
    assert torch.equal(stored["scales"], torch.tensor(THEIRS["nf4"]["scales"]))


def test_nf4_is_qloras():
    """Also its scales in 8 bits: what QLoRA trains on is what is evaluated."""
    from modelwright_plugins.adapter._nf4 import NF4 as Frozen
    from modelwright_plugins.engine.split import Split

    weight = matrix().repeat(64, 4) + torch.arange(512)[:, None] * 1e-4
    kept = Frozen(weight, Split(), 64)
    quantizer = NF4()
    stored = quantizer.quantized(weight, None)
    assert torch.equal(quantizer.weight(stored), kept.weight())
    assert sum(value.nbytes for value in stored.values()) * 8 / weight.numel() == pytest.approx(4.127, abs=0.001)


@pytest.mark.parametrize("dim", [0, 1])
def test_nf4s_parts_are_parts_of_the_whole(dim):
    """Scales share theirs across what tensor ranks have of the matrix."""
    from modelwright_plugins.engine.split import Split

    weight, quantizer = matrix().repeat(40, 4), NF4(block=32)
    stored = quantizer.quantized(weight, None)
    for rank in range(2):
        split = Split(2, rank, dim)

        def cut(value, axes, split=split):
            return split.part(value) if len(axes) > split.dim and axes[split.dim] else value

        assert torch.equal(quantizer.weight(quantizer.part(stored, cut)), split.part(quantizer.weight(stored)))
