"""NF4: its levels are those of the paper, its numbers those of the formula, and its layer computes the plain layer of its weights."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

from modelwright_plugins.conformance.ranks import on_ranks

PAPER = [  # Dettmers et al. 2023, appendix E
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495,
    0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip


def quantised(rank: int) -> dict[str, Any]:
    import torch

    from modelwright_plugins.adapter._nf4 import NF4, Frozen
    from modelwright_plugins.engine.split import Split
    from modelwright_plugins.quantizer._normal_float import levels

    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(0)) * 0.02
    packed = NF4(weight, Split(), 64)
    x = torch.randn(3, 5, 128, generator=torch.Generator().manual_seed(1)).requires_grad_()
    out = Frozen.apply(x, packed)
    (out**2).sum().backward()
    given = x.detach().clone().requires_grad_()
    (plain := given @ packed.weight().T).square().sum().backward()
    size = sum(each.numel() * each.element_size() for each in (packed.codes, packed.scales, packed.outer, packed.mean))
    codes = torch.stack([packed.codes >> 4, packed.codes & 15], -1).flatten(1)
    far = {"out": (out - plain).abs().max().item(), "gradient": (x.grad - given.grad).abs().max().item()}
    return {
        "levels": levels(torch.device("cpu")).tolist(),
        "weight": weight.tolist(),
        "made": packed.weight().tolist(),
        "codes": codes.tolist(),
        "bytes": size,
    } | far


@pytest.mark.slow
def test_nf4(tmp_path: Path) -> None:
    found = on_ranks(quantised, 1, tmp_path)[0]
    assert found["levels"] == pytest.approx(PAPER, abs=2e-7)
    assert found["out"] == 0 and found["gradient"] == 0
    assert found["bytes"] <= 96 * 128 * 4.13 / 8 + 8  # 4 + 8/64 + 32/(64 * 256) bits a weight
    square = largest = 0.0
    for weights, made, codes in zip(found["weight"], found["made"], found["codes"], strict=True):
        for start in (0, 64):
            block = slice(start, start + 64)
            scale = max(abs(w) for w in weights[block])
            for w, code, m in zip(weights[block], codes[block], made[block], strict=True):
                assert abs(w / scale - PAPER[code]) <= min(abs(w / scale - level) for level in PAPER) + 1e-6
                largest = max(largest, abs(m - PAPER[code] * scale) / scale)  # what the scales' 8 bits change
                square += (m - w) ** 2
    assert largest < 0.03  # half a step of 3 bits of mantissa, of what a scale is beside the mean
    assert math.sqrt(square / (96 * 128)) < 0.1 * 0.02  # of a deviation of 0.02


def test_levels_by_hand() -> None:
    """8 quantiles of the upper half and 7 of the lower from 1 - (1/30 + 1/32)/2 on, and 0, over the largest."""
    normal, tail = NormalDist(), 1 - (1 / 30 + 1 / 32) / 2
    upper = [normal.inv_cdf(0.5 + (tail - 0.5) * n / 8) for n in range(1, 9)]
    lower = [-normal.inv_cdf(0.5 + (tail - 0.5) * n / 7) for n in range(7, 0, -1)]
    assert [each / upper[-1] for each in (*lower, 0.0, *upper)] == pytest.approx(PAPER, abs=1e-6)
