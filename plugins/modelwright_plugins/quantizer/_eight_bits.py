"""Products of matrices in 8 bits: LLM.int8 (Dettmers et al. 2022, arXiv:2208.07339) and SmoothQuant (Xiao et al. 2022, arXiv:2211.10438).

Numbers are n/127 of the largest magnitude that shares their scale, and products of whole numbers are summed exactly (up to 2^24 in FP32,
which 1,040 products of 127 times 127 reach; beyond it to FP32's own precision).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 127
TINY = torch.finfo(torch.float32).tiny


def scale_of(largest: Tensor) -> Tensor:
    """What one step stands for, of the largest magnitude."""
    return largest.clamp(min=TINY) / LARGEST


def rounded(values: Tensor, scale: Tensor) -> Tensor:
    """Whole numbers from -127 to 127, in the format of `values`."""
    return torch.clamp(torch.round(values / scale), -LARGEST, LARGEST)


def smoothing(absmax: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """By what each input is divided and its weights are multiplied: max|x|^alpha / max|w|^(1 - alpha) (equation 4), [inputs]."""
    return (absmax.clamp(min=1e-5) ** alpha / weight.abs().amax(0).clamp(min=1e-5) ** (1 - alpha)).clamp(min=1e-5)


def product(x: Tensor, x_scale: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """x Wᵀ of x [tokens, inputs] in 8 bits, with the scale of each token [tokens, 1] (or of all), and of codes [outputs, inputs] with the
    scale of each row [outputs] (or of all): [tokens, outputs]."""
    return F.linear(rounded(x, x_scale), codes.to(x.dtype)) * x_scale * scale
