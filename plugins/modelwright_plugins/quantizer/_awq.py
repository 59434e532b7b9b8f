"""AWQ of one matrix (Lin et al. 2023, arXiv:2306.00978, section 3; mit-han-lab/llm-awq, auto_scale.py, auto_clip.py and quantizer.py).

What both searches compare are the layer's own outputs over all of the calibration's tokens, by the mean of x xᵀ: the mean square of
(W' - W) x is tr((W' - W) E[x xᵀ] (W' - W)ᵀ). llm-awq does so on a sample, and where several layers read the same inputs (queries, keys,
values; gate and up) on what follows them: these are one matrix here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modelwright_plugins.quantizer import _levels
from modelwright_plugins.quantizer._levels import Kept, as_stored, rounded

STEPS = 20  # of each search (n_grid)
SHRUNK = 0.5  # the share of its largest weight that a group may be clipped to, at least (max_shrink)


def fitted(weight: Tensor, bits: int, *, symmetric: bool, kept: Kept) -> tuple[Tensor, Tensor]:
    """The scale and the zero point along the last dimension of `weight`, of size 1 in both. The levels are those of `_levels.fitted`, and
    symmetric those of llm-awq's `pseudo_quantize_tensor`: the largest is the (2^(bits-1) - 1)th above 0.

    Where 0 is not among a group's weights the range is widened to it: llm-awq's is not, and its zero point, which has to be a level, then
    moves the whole group (0.10 and 0.11 become 0.03 in 4 bits)."""
    if symmetric:
        scale = kept(weight.abs().amax(-1, keepdim=True).clamp(min=1e-5) / (2 ** (bits - 1) - 1))
        return scale, torch.full_like(scale, 2 ** (bits - 1))
    return _levels.fitted(weight.amin(-1, keepdim=True), weight.amax(-1, keepdim=True), bits, symmetric=False, kept=kept)


def again(weight: Tensor, bits: int, *, symmetric: bool, kept: Kept) -> Tensor:
    """`weight` [..., group] as rounding leaves it."""
    scale, zero = fitted(weight, bits, symmetric=symmetric, kept=kept)
    return (rounded(weight, scale, zero, bits) - zero) * scale


def scaled(weight: Tensor, mean_abs: Tensor, hessian: Tensor, *, group: int, **how: Any) -> Tensor:
    """By what the weights of each input are multiplied, and the input divided, before rounding: [inputs]. Of the powers 0, 1/20 … 19/20
    of the mean |x| (equation 5) the one whose outputs are nearest; the power 0 is plain rounding."""
    outputs, inputs = weight.shape
    best, least = torch.ones_like(mean_abs), float("inf")
    for step in range(STEPS):
        scale = mean_abs.pow(step / STEPS).clamp(min=1e-4)
        scale = scale / (scale.max() * scale.min()).sqrt()
        made = again((weight * scale).view(outputs, -1, group or inputs), **how).view_as(weight) / scale
        far = made - weight
        if (error := ((far @ hessian) * far).sum().item()) < least:
            best, least = scale, error
    return best


def clipped(weight: Tensor, hessian: Tensor, *, group: int, **how: Any) -> Tensor:
    """`weight` with each group of a row cut off where the outputs of that group are nearest: at 1, 0.95 … 0.55 of its largest weight.
    `hessian` is that of the inputs as these weights see them."""
    outputs, inputs = weight.shape
    size = group or inputs
    parts = weight.view(outputs, -1, size)
    seen = torch.stack([hessian[at : at + size, at : at + size] for at in range(0, inputs, size)])  # [groups, size, size]
    largest = parts.abs().amax(-1, keepdim=True)
    limit, least = largest.clone(), torch.full_like(largest, float("inf"))
    for step in range(int(SHRUNK * STEPS)):
        at = largest * (1 - step / STEPS)
        far = again(torch.clamp(parts, -at, at), **how) - parts
        error = (torch.einsum("ogi,gij->ogj", far, seen) * far).sum(-1, keepdim=True)
        better = error < least
        limit, least = torch.where(better, at, limit), torch.where(better, error, least)
    return torch.clamp(parts, -limit, limit).view_as(weight)


def awq(
    weight: Tensor,
    mean_abs: Tensor,
    hessian: Tensor,
    *,
    bits: int,
    group: int,
    symmetric: bool,
    scale_search: bool = True,
    clip_search: bool = True,
    kept: Kept = as_stored,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes [outputs, inputs], scales and zero points [outputs, groups], and what each input is to be divided by, [inputs]."""
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    mean_abs, hessian = mean_abs.to(weight.dtype), hessian.to(weight.dtype)
    how: dict[str, Any] = {"bits": bits, "symmetric": symmetric, "kept": kept}
    divisor = kept(scaled(weight, mean_abs, hessian, group=group, **how)) if scale_search else torch.ones_like(mean_abs)
    wide = weight * divisor
    if clip_search:
        wide = clipped(wide, hessian / divisor[:, None] / divisor, group=group, **how)
    parts = wide.view(len(weight), -1, group or weight.shape[1])
    scale, zero = fitted(parts, **how)
    return rounded(parts, scale, zero, bits).view_as(weight), scale[..., 0], zero[..., 0], divisor
