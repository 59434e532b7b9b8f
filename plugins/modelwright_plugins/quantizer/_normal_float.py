"""NormalFloat of 4 bits (Dettmers et al. 2023, arXiv:2305.14314, section 3 and appendix E): its numbers, its codes, and the scales of its
scales."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

GROUP = 256  # scales that share one scale of their own
LARGEST = 448.0  # of float8_e4m3fn
TAIL = 0.9677083  # where the outermost quantile is taken: the mean of 1 - 1/(2·15) and 1 - 1/(2·16)


@functools.cache  # QLoRA asks at every pass through every matrix
def levels(device: torch.device) -> torch.Tensor:
    """The 16 numbers, in order: quantiles of the normal distribution, 8 of the positive half and 7 of the negative, and 0."""

    def half(count: int) -> torch.Tensor:
        return torch.special.ndtri(torch.linspace(TAIL, 0.5, count + 1, dtype=torch.float64, device="cpu")[:-1])

    found = torch.cat([-half(7), torch.zeros(1, dtype=torch.float64, device="cpu"), half(8).flip(0)])
    return (found / found.max()).float().to(device)


def coded(blocks: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[rows, blocks, weights of a block] -> the nearest level of each weight, uint8 [rows, columns], and the largest of each block."""
    largest = blocks.abs().amax(-1)
    normal = blocks / largest.clamp(min=torch.finfo(torch.float32).tiny)[..., None]
    return torch.bucketize(normal, (table[1:] + table[:-1]) / 2).view(len(blocks), -1).to(torch.uint8), largest


def packed(codes: torch.Tensor) -> torch.Tensor:
    """Two codes a byte, uint8 [rows, columns / 2]; the first has the higher bits, as in bitsandbytes."""
    return codes[:, ::2] << 4 | codes[:, 1::2]


def unpacked(octets: torch.Tensor) -> torch.Tensor:
    return torch.stack([octets >> 4, octets & 15], -1).view(len(octets), -1)


def small(scales: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scales in 8 bits, uint8 of their shape: float8_e4m3fn of what they are beside their mean, over the largest of each GROUP in a row;
    these, FP32 [groups]; and the mean, FP32."""
    mean = scales.mean()
    groups = F.pad((scales - mean).flatten(), (0, -scales.numel() % GROUP)).view(-1, GROUP)
    outer = groups.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny)
    kept = (groups / outer[:, None] * LARGEST).to(torch.float8_e4m3fn).view(torch.uint8)
    return kept.flatten()[: scales.numel()].view_as(scales), outer, mean


def large(kept: torch.Tensor, outer: torch.Tensor, mean: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """The scales that `small` has made small, or a part of them; `group`: which group each is of."""
    return kept.contiguous().view(torch.float8_e4m3fn).float() / LARGEST * outer[group] + mean


def group_of(rows: int, columns: int, device: torch.device | None = None) -> torch.Tensor:
    """The group of each scale of a whole matrix, int64 [rows, columns]."""
    return (torch.arange(rows * columns, device=device) // GROUP).view(rows, columns)
