"""LLM.int8: the paper's decomposition done the slow way, and outliers that absmax in 8 bits loses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import OUTLIERS, inputs_of, layer, signal_to_noise

from modelwright_plugins.engine.split import Split
from modelwright_plugins.quantizer import Axes
from modelwright_plugins.quantizer.llm_int8 import LLMInt8


def test_it_is_the_papers_arithmetic() -> None:
    weight, x = layer(6, 24, 40)
    quantizer, calm = LLMInt8(), x.masked_fill((x.abs() >= 6).any(0) & (torch.arange(24) == OUTLIERS[0]), 1.0)
    stored = quantizer.quantized(weight, inputs_of(calm))  # one of the two outliers is there only later
    known = {j for j in range(24) if max(abs(v) for v in calm[:, j].tolist()) >= 6}
    later = {j for j in range(24) if max(abs(v) for v in x[:, j].tolist()) >= 6} | known
    assert OUTLIERS[1] in known and OUTLIERS[0] not in known and {*OUTLIERS} <= later
    inner = [[0.0 if j in known else w for j, w in enumerate(row)] for row in weight.tolist()]
    steps = [float(torch.tensor(max(map(abs, row)) / 127).half()) for row in inner]
    codes = [[min(max(round(w / step), -127), 127) for w in row] for row, step in zip(inner, steps, strict=True)]
    assert stored["codes"].tolist() == codes and stored["outliers"].tolist() == sorted(known)
    halves = weight.half().float()
    for token, out in zip(x.tolist(), quantizer.forward(x, stored).tolist(), strict=True):
        top = max(abs(v) for j, v in enumerate(token) if j not in later)
        whole = [0 if j in later else round(v * 127 / top) for j, v in enumerate(token)]
        expected = []
        for o, (row, step) in enumerate(zip(codes, steps, strict=True)):
            exact = sum(token[j] * (float(halves[o, j]) if j in known else row[j] * step) for j in later)
            expected.append(sum(a * b for a, b in zip(whole, row, strict=True)) * step * top / 127 + exact)
        assert out == pytest.approx(expected, rel=1e-5, abs=2e-4)


def test_outliers_that_absmax_loses_it_keeps() -> None:
    for factor in (10.0, 30.0, 100.0):
        weight, x = layer(factor=factor)
        assert signal_to_noise(LLMInt8(), weight, x) > signal_to_noise(LLMInt8(threshold=0), weight, x) + 10


@pytest.mark.parametrize("dim", [0, 1])
def test_ranks_parts_give_the_whole_one(dim: int) -> None:
    weight, x = layer()
    quantizer = LLMInt8()
    stored = quantizer.quantized(weight, inputs_of(x))
    out = quantizer.forward(x, stored)
    top = x.masked_fill((x.abs() >= 6).any(0), 0).abs().amax(-1, keepdim=True)
    parts = []
    for rank in range(2):
        split = Split(2, rank, dim)

        def cut(value: torch.Tensor, axes: Axes, split: Split = split) -> torch.Tensor:
            for place, along in enumerate(axes):
                if along == ("outputs", "inputs")[split.dim] and value.shape[place] > 1:
                    value = split.part(value, place)
            return value

        mine = quantizer.part(stored, cut)
        assert torch.equal(quantizer.weight(mine), split.part(quantizer.weight(stored)))
        assert mine["outlier_weights"].shape == (24 if dim == 0 else 48, len(mine["outliers"]))
        parts.append(quantizer.forward(split.part(x, 1) if dim else x, mine, lambda largest: top))
    torch.testing.assert_close(torch.cat(parts, 1) if dim == 0 else sum(parts), out, rtol=1e-5, atol=1e-4)
