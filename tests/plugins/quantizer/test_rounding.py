"""Rounding to levels, against each formula worked out one weight at a time in float64, and where methods differ: few bits, outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.quantizer._packing import packed, unpacked
from modelwright_plugins.quantizer.absmax import Absmax
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.quantizer.zero_point import ZeroPoint

GROUPS = (-1, 0, 8)


def matrix(outputs: int = 6, inputs: int = 16, *, outliers: bool = False) -> torch.Tensor:
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1)) * 0.02
    if outliers:  # one large weight in each of a few rows
        weight[::3, 5] = 0.6
    return weight


def grouped(outputs: int, inputs: int, group: int) -> list[list[tuple[int, int]]]:
    """The places of each group's weights."""
    if group == -1:
        return [[(row, column) for row in range(outputs) for column in range(inputs)]]
    each = group or inputs
    return [[(row, first + i) for i in range(each)] for row in range(outputs) for first in range(0, inputs, each)]


def sqnr(weight: torch.Tensor, back: torch.Tensor) -> float:
    return 10 * math.log10(weight.double().square().sum().item() / (weight - back).double().square().sum().item())


def through(quantizer, weight: torch.Tensor) -> torch.Tensor:
    return quantizer.weight(quantizer.quantized(weight, None))


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_take_their_bits_and_no_more(bits):
    codes = torch.randint(0, 2**bits, (3, 24), generator=torch.Generator().manual_seed(bits))
    octets = packed(codes, bits)
    assert octets.dtype == torch.uint8 and octets.shape == (3, 24 * bits // 8)
    assert torch.equal(unpacked(octets, bits).long(), codes)
    first = sum(int(code) << (bits * place) for place, code in enumerate(codes[0]))  # one number, the first code lowest
    assert bytes(octets[0].tolist()) == first.to_bytes(24 * bits // 8, "little")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_absmax_is_its_formula(bits, group):
    weight = matrix()
    expected, most = torch.empty(weight.shape, dtype=torch.float64), 2 ** (bits - 1) - 1
    for places in grouped(*weight.shape, group):
        scale = float(np.float16(max(abs(weight[at].item()) for at in places) / most))
        for at in places:
            expected[at] = scale * max(-most, min(most, round(weight[at].item() / scale)))
    assert torch.allclose(through(Absmax(bits=bits, group=group), weight).double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_zero_point_is_its_formula(bits, group):
    weight = matrix() + 0.01  # lies more on one side
    expected, most = torch.empty(weight.shape, dtype=torch.float64), 2**bits - 1
    for places in grouped(*weight.shape, group):
        low, high = (bound(0.0, *(weight[at].item() for at in places)) for bound in (min, max))
        scale = float(np.float16((high - low) / most))
        zero = max(0, min(most, round(-low / scale)))
        for at in places:
            expected[at] = scale * (max(0, min(most, round(weight[at].item() / scale) + zero)) - zero)
    assert torch.allclose(through(ZeroPoint(bits=bits, group=group), weight).double(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_fp8_is_the_nearest_number_of_the_format(name):
    """All numbers of the format from their bits: (-1)^s 2^(e - bias) (1 + m / 2^mantissa), and those without the 1 below them."""
    exponent, mantissa = int(name[1]), int(name[3])
    bias, found = 2 ** (exponent - 1) - 1, [0.0]
    for e in range(2**exponent):
        for m in range(2**mantissa):
            # E4M3 has one number that is none, and no infinities; E5M2's last exponent is of infinities and such
            if (e, m) == (15, 7) or (name == "e5m2" and e == 31):
                continue
            found.append(2.0 ** ((e or 1) - bias) * ((e > 0) + m / 2**mantissa))
    numbers = np.array(sorted({*found, *(-each for each in found)}))
    weight = matrix(4, 64)
    back = through(FP8(format=name), weight).double()
    for row, mine in zip(weight.double().numpy(), back.numpy(), strict=True):
        scale = np.float64(np.float32(np.float32(np.abs(row).max()) / np.float32(numbers[-1])))
        nearest = np.abs(row[:, None] / scale - numbers).min(1)
        assert np.allclose(np.abs(row - mine) / scale, nearest, rtol=1e-4, atol=1e-6 * numbers[-1])
    assert sqnr(weight, back.float()) > {"e4m3": 30, "e5m2": 24}[name]


def test_fp8_of_activations_and_the_largest_over_ranks():
    """W8A8 is the product of both after rounding, with a scale of each token; what another rank's inputs have counts for it."""
    weight, x = matrix(8, 32), torch.randn(5, 32, generator=torch.Generator().manual_seed(2))
    quantizer = FP8(activations="token")
    stored = quantizer.quantized(weight, None)
    scales = x.abs().amax(1, keepdim=True) / 448
    rounded = (x / scales).to(torch.float8_e4m3fn).float() * scales
    assert torch.allclose(quantizer.forward(x, stored), rounded @ quantizer.weight(stored).T, rtol=1e-5)
    assert not torch.allclose(quantizer.forward(x, stored), FP8().forward(x, stored), rtol=1e-4)
    halves = [{**stored, "codes": stored["codes"][:, :16]}, {**stored, "codes": stored["codes"][:, 16:]}]
    most = x.abs().amax(1, keepdim=True)
    parts = [quantizer.forward(x[:, 16 * at : 16 * at + 16], half, lambda _: most) for at, half in enumerate(halves)]
    assert torch.allclose(sum(parts), quantizer.forward(x, stored), rtol=1e-5)


@pytest.mark.parametrize("quantizer", [Absmax, ZeroPoint])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_smaller_groups_keep_outliers_to_themselves(quantizer, bits):
    """With a planted outlier the whole matrix has its scale, or a row, or a group: signal over noise of the weights without outliers."""
    weight, plain = matrix(24, 256, outliers=True), torch.ones(24, 256, dtype=torch.bool)
    plain[::3, 5] = False
    whole, row, group = (sqnr(weight[plain], through(quantizer(bits=bits, group=g), weight)[plain]) for g in (-1, 0, 32))
    assert whole + 0.5 < row and row + 1 < group


def test_a_zero_point_uses_both_ends_where_weights_lie_on_one_side():
    weight = matrix(24, 256).abs()
    for bits in (2, 3, 4):
        assert (
            sqnr(weight, through(ZeroPoint(bits=bits, group=32), weight)) > sqnr(weight, through(Absmax(bits=bits, group=32), weight)) + 4
        )


@pytest.mark.parametrize("quantizer", [Absmax(bits=4, group=8), ZeroPoint(bits=4, group=8), FP8(), Absmax(bits=2, group=-1)])
def test_nothing_of_a_matrix_of_zeros_is_lost(quantizer):
    assert torch.equal(through(quantizer, torch.zeros(4, 16)), torch.zeros(4, 16))


def test_what_can_not_be():
    with pytest.raises(ValueError, match=r"bits is 9; it is 2 to 8"):
        Absmax(bits=9)
    with pytest.raises(ValueError, match=r"group is 1; it is a number of weights from 2 up"):
        ZeroPoint(group=1)
    with pytest.raises(ModelwrightError, match=r"quantizer.group=5 does not divide the 16 inputs"):
        Absmax(group=5).quantized(matrix(), None)
    with pytest.raises(ModelwrightError, match=r"a matrix with 12 inputs can't be kept in 3 bits: they are not a multiple of 8"):
        Absmax(bits=3).quantized(matrix(4, 12), None)


@pytest.mark.parametrize(
    ("bits", "group", "inputs", "ranks", "why"),
    [
        (4, 128, 128, 2, None),  # one group: each rank has its scale
        (4, 64, 128, 2, None),
        (4, 64, 96, 1, "quantizer.group=64 does not divide the 96 inputs of a matrix"),
        (4, 64, 192, 2, "quantizer.group=64 does not divide the 96 inputs that each of 2 tensor ranks has"),
        (3, 0, 24, 1, None),
        (3, 0, 24, 2, "a part of a matrix on one of 2 tensor ranks with 12 inputs can't be kept in 3 bits: they are not a multiple of 8"),
    ],
)
def test_shapes_that_can_not_be_are_told(bits, group, inputs, ranks, why):
    try:
        ZeroPoint(bits=bits, group=group).check_shape(8, inputs, ranks)
        assert why is None
    except ModelwrightError as e:
        assert str(e) == why
