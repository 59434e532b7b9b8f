"""SmoothQuant: the paper's equations done the slow way, and outliers of activations that absmax in 8 bits loses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import inputs_of, layer, signal_to_noise

from modelwright_plugins.quantizer.llm_int8 import LLMInt8
from modelwright_plugins.quantizer.smoothquant import SmoothQuant


@pytest.mark.parametrize("weights", ["matrix", "row"])
@pytest.mark.parametrize("activations", ["token", "batch", "calibrated"])
def test_it_is_the_papers_arithmetic(weights: Literal["matrix", "row"], activations: Literal["token", "batch", "calibrated"]) -> None:
    weight, x = layer(6, 24, 20)
    quantizer = SmoothQuant(alpha=0.75, weights=weights, activations=activations)
    stored, new = quantizer.quantized(weight, inputs_of(x)), x[:7] * 0.9
    found = quantizer.forward(new.view(7, 1, 24), stored).view(7, 6)
    s = [max(abs(v) for v in x[:, j].tolist()) ** 0.75 / max(abs(v) for v in weight[:, j].tolist()) ** 0.25 for j in range(24)]
    s = [float(torch.tensor(v).half()) for v in s]
    wide = [[w * f for w, f in zip(row, s, strict=True)] for row in weight.tolist()]
    largest = [max(map(abs, row)) for row in wide]
    steps = [float(torch.tensor((each if weights == "row" else max(largest)) / 127).half()) for each in largest]
    codes = [[min(max(round(w / step), -127), 127) for w in row] for row, step in zip(wide, steps, strict=True)]
    assert stored["codes"].tolist() == codes
    narrow = [[v / f for v, f in zip(token, s, strict=True)] for token in new.tolist()]
    known = max(abs(v) / f for token in x.tolist() for v, f in zip(token, s, strict=True))
    for token, out in zip(narrow, found.tolist(), strict=True):
        top = {"token": max(map(abs, token)), "batch": max(abs(v) for t in narrow for v in t), "calibrated": known}[activations]
        whole = [min(max(round(v / (top / 127)), -127), 127) for v in token]
        expected = [sum(a * b for a, b in zip(whole, row, strict=True)) * step * top / 127 for row, step in zip(codes, steps, strict=True)]
        assert out == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_outliers_that_absmax_loses_it_keeps() -> None:
    gained = []
    for factor in (1.0, 30.0, 100.0):
        weight, x = layer(factor=factor)
        plain = signal_to_noise(LLMInt8(threshold=0), weight, x)  # each token's and each row's absmax
        gained.append(signal_to_noise(SmoothQuant(weights="row"), weight, x) - plain)
    assert gained[0] > -0.5 and gained[1] > 8 and gained[2] > 10


def test_two_halves_of_the_inputs_give_the_whole_one() -> None:
    weight, x = layer()
    quantizer = SmoothQuant()
    stored = quantizer.quantized(weight, inputs_of(x))
    together = (x / stored["divisors"].float()).abs().amax(-1, keepdim=True)
    parts = (
        quantizer.forward(
            x[:, half], {**stored, "codes": stored["codes"][:, half], "divisors": stored["divisors"][half]}, lambda largest: together
        )
        for half in (slice(0, 32), slice(32, 64))
    )
    torch.testing.assert_close(sum(parts), quantizer.forward(x, stored), rtol=1e-5, atol=1e-4)
