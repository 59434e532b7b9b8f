"""Layers whose frozen weights are in NormalFloat of 4 bits with double quantisation (Dettmers et al. 2023, arXiv:2305.14314)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._low_rank import Linear
from modelwright_plugins.engine.parallel_linear import ParallelLinear
from modelwright_plugins.engine.split import Split
from modelwright_plugins.quantizer import nf4
from modelwright_plugins.quantizer._normal_float import group_of, small

STORED = ("codes", "scales", "outer", "mean")


class NF4(torch.nn.Module):
    """This rank's part of a matrix as `quantizer=nf4` stores it: a level of each weight, and a scale of each `block` weights of a row, in
    8 bits. Each rank rounds its own part; scales are quantised over the whole matrix, so that they don't depend on the layout.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    outer: torch.Tensor
    mean: torch.Tensor

    def __init__(self, weight: torch.Tensor, split: Split, block: int) -> None:
        super().__init__()
        self.dtype, self.split, self.block = weight.dtype, split, block
        if (columns := weight.shape[1]) % block:
            whose = "a tensor rank's part of a row" if split.ranks > 1 else "a row"
            raise ModelwrightError(f"adapter.block={block} does not divide the {columns} weights of {whose}; fewer, or fewer tensor ranks")
        kept = nf4.NF4(block=block, double=False).quantized(weight.detach().float(), None)
        scales, kept["outer"], kept["mean"] = small(split.whole(kept["scales"]))
        kept["scales"] = split.part(scales).contiguous()
        for name in STORED:
            self.register_buffer(name, kept[name], persistent=False)

    def weight(self) -> torch.Tensor:
        """[rows, columns], in the format that the weights were in."""
        whole = list(self.scales.shape)
        whole[self.split.dim] *= self.split.ranks
        group = self.split.part(group_of(whole[0], whole[1], self.codes.device))
        return nf4.NF4(block=self.block).weight({"group": group} | {name: getattr(self, name) for name in STORED}).to(self.dtype)


class Frozen(torch.autograd.Function):
    """x Wᵀ, with W made again for the gradient of x: it is never kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: NF4) -> torch.Tensor:
        ctx.weight = weight
        return F.linear(x, weight.weight())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] @ ctx.weight.weight(), None


class NF4Linear(ParallelLinear):
    """A parallel linear layer whose weights are frozen in NF4."""

    def __init__(self, linear: Linear, gated: bool, block: int) -> None:
        super().__init__(linear)
        group = self.tp_group
        split = Split(group.size(), group.rank(), 0 if self.column else 1, 2 if gated and self.column else 1, group)
        self.packed = NF4(linear.weight.data, split, block)
        self.noted = {name: value for name, value in vars(linear.weight).items() if name in NOTED}
        linear.weight = None
        self.linear = linear

    def product(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = Frozen.apply(x, self.packed)
        return out

    def plain(self) -> Linear:
        """The layer as it was, but for what quantisation has changed."""
        self.linear.weight = torch.nn.Parameter(self.packed.weight())
        for name, value in self.noted.items():
            setattr(self.linear.weight, name, value)
        return self.linear


NOTED = ("tensor_model_parallel", "partition_dim", "partition_stride", "allreduce", "sequence_parallel")
