"""GPTQ of one matrix (Frantar et al. 2022, arXiv:2210.17323, algorithm 1; IST-DASLab/gptq, gptq.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modelwright.errors import ModelwrightError
from modelwright_plugins.quantizer._levels import Kept, as_stored, fitted, rounded


def gptq(
    weight: Tensor,
    hessian: Tensor,
    *,
    bits: int,
    group: int,
    symmetric: bool,
    act_order: bool,
    damping: float,
    block: int,
    kept: Kept = as_stored,
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [outputs, inputs], and the scales and zero points [outputs, groups] of groups of inputs that are neighbours; 0: one group.

    Inputs are rounded one after another, and what each rounding changes in the outputs is put right in those that are not rounded yet.
    `hessian`: the mean of x xᵀ, [inputs, inputs]; `damping`: the share of its mean diagonal that is added to the diagonal; `block`:
    inputs whose errors reach the later ones together (it changes speed alone); `kept`: a scale as it is stored. With `act_order` inputs are
    taken by falling mean square, and each group's scale is that of its weights as they were (`static_groups` of the paper's code): groups
    stay neighbours.
    """
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32)).clone()
    outputs, inputs = weight.shape
    group = group or inputs
    how: dict[str, Any] = {"symmetric": symmetric, "kept": kept}
    factor, order = _factor(hessian.double(), act_order=act_order, damping=damping)
    factor = factor.to(weight.dtype)
    at_once = act_order or group == inputs  # each group's scale is of its weights as they were
    group_of = torch.arange(inputs, device=weight.device) // group
    parts = weight.view(outputs, -1, group)
    scales, zeros = fitted(parts.amin(-1), parts.amax(-1), bits, **how)
    weight, group_of = weight[:, order], group_of[order]
    codes = torch.empty_like(weight)
    span = block if at_once else group * max(1, block // group)  # where a group begins, all errors of before have arrived
    for start in range(0, inputs, span):
        end = min(start + span, inputs)
        errors = weight.new_zeros(outputs, end - start)
        for at in range(start, end):
            which = int(group_of[at])
            if not at_once and at % group == 0:
                part = weight[:, at : at + group]
                scales[:, which], zeros[:, which] = fitted(part.amin(-1), part.amax(-1), bits, **how)
            scale, zero = scales[:, which], zeros[:, which]
            codes[:, at] = rounded(weight[:, at], scale, zero, bits)
            error = (weight[:, at] - scale * (codes[:, at] - zero)) / factor[at, at]
            weight[:, at:end] -= torch.outer(error, factor[at, at:end])
            errors[:, at - start] = error
        weight[:, end:] -= errors @ factor[start:end, end:]
    return codes[:, torch.argsort(order)], scales, zeros


def _factor(hessian: Tensor, *, act_order: bool, damping: float) -> tuple[Tensor, Tensor]:
    """The upper Cholesky factor of the inverse Hessian, whose rows are what the algorithm needs of the inverses of all remainders
    (section 3.3, step 3), and the order of inputs. Weights of inputs that are always 0 are rounded for themselves: the paper's code makes
    them 0, and so an expert that no token came to."""
    hessian = hessian.clone()
    diagonal = hessian.diagonal()
    diagonal[diagonal == 0] = 1
    order = torch.arange(len(diagonal), device=hessian.device)
    if act_order:
        order = torch.argsort(diagonal, descending=True, stable=True)
    diagonal.add_(damping * diagonal.mean())
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian[order][:, order]))
        return torch.linalg.cholesky(inverse, upper=True), order
    except torch.linalg.LinAlgError as e:
        raise ModelwrightError(f"quantizer.damping={damping} is too small for these inputs; 0.01, or more rows") from e
