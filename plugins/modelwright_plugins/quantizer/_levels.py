"""Levels at equal distances: 0 … 2^bits - 1, of which one stands for 0 (IST-DASLab/gptq, quant.py: `Quantizer`; torchao has the same)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from modelwright_plugins.quantizer._groups import half, spread
from modelwright_plugins.quantizer._packing import packed, unpacked

Kept = Callable[[Tensor], Tensor]


def as_stored(scale: Tensor) -> Tensor:
    """A scale as it will be read again."""
    return half(scale).to(scale.dtype)


def fitted(low: Tensor, high: Tensor, bits: int, *, symmetric: bool, kept: Kept = as_stored) -> tuple[Tensor, Tensor]:
    """The scale and the zero point for weights from `low` to `high`, which are widened to have 0 among them. Of a symmetric range the
    zero is the 2^(bits-1)th level, and the largest weight is half a level beyond the last. `kept`: a scale as it is stored."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    if symmetric:
        high = torch.maximum(-low, high)
        low = -high
    empty = low == high
    low, high = low.masked_fill(empty, -1), high.masked_fill(empty, 1)
    scale = kept((high - low) / (2**bits - 1))
    return scale, torch.full_like(scale, 2 ** (bits - 1)) if symmetric else torch.round(-low / scale).clamp(0, 2**bits - 1)


def rounded(weight: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
    """The nearest level of each weight, 0 … 2^bits - 1, in the format of `weight`."""
    return torch.clamp(torch.round(weight / scale) + zero, 0, 2**bits - 1)


class Straight(torch.autograd.Function):
    """Weights as rounding leaves them, whose gradient goes straight to the weights (Bengio et al. 2013, arXiv:1308.3432), but for those
    that lie outside of the levels (Jacob et al. 2017, arXiv:1712.05877, section 3)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
        level = torch.round(weight / scale) + zero
        inside = torch.clamp(level, 0, 2**bits - 1)
        ctx.save_for_backward(level == inside)
        return (inside - zero) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def stored(codes: Tensor, scale: Tensor, zero: Tensor, bits: int, *, symmetric: bool) -> dict[str, Tensor]:
    """What is kept of codes [outputs, inputs], with scales and zero points [outputs, groups]."""
    found = {"codes": packed(codes, bits), "scales": half(scale)}
    return found if symmetric else found | {"zeros": zero.to(torch.uint8)}


def restored(kept: dict[str, Tensor], bits: int) -> Tensor:
    """The weights that `stored` has stored: FP32 [outputs, inputs]."""
    codes = unpacked(kept["codes"], bits).float()
    zero = spread(kept["zeros"].float(), *codes.shape) if "zeros" in kept else 2 ** (bits - 1)
    return (codes - zero) * spread(kept["scales"].float(), *codes.shape)
