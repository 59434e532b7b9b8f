"""Layers whose frozen weights are in NormalFloat of 4 bits with double quantisation (Dettmers et al. 2023, arXiv:2305.14314)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.tensor_parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_sequence_parallel_region,
    gather_from_tensor_model_parallel_region,
    reduce_from_tensor_model_parallel_region,
    reduce_scatter_to_sequence_parallel_region,
)

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._low_rank import Linear
from modelwright_plugins.engine.split import Split
from modelwright_plugins.quantizer._normal_float import coded, group_of, large, levels, packed, small, unpacked


class NF4(torch.nn.Module):
    """This rank's part of a matrix in 4.13 bits a weight: a level of each, and a scale of each `block` weights of a row, in 8 bits.

    Scales are quantised over the whole matrix, in the order that one rank has it in, so that they don't depend on the layout.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    outer: torch.Tensor
    mean: torch.Tensor
    levels: torch.Tensor

    def __init__(self, weight: torch.Tensor, split: Split, block: int) -> None:
        super().__init__()
        self.shape, self.dtype, self.split, self.block = weight.shape, weight.dtype, split, block
        rows, columns = weight.shape
        if columns % block:
            whose = "a tensor rank's part of a row" if split.ranks > 1 else "a row"
            raise ModelwrightError(f"adapter.block={block} does not divide the {columns} weights of {whose}; fewer, or fewer tensor ranks")
        table = levels().to(weight.device)
        codes, largest = coded(weight.detach().float().view(rows, -1, block), table)
        scales, outer, mean = small(split.whole(largest))
        kept = {"codes": packed(codes), "scales": split.part(scales).contiguous(), "outer": outer, "mean": mean, "levels": table}
        for name, tensor in kept.items():
            self.register_buffer(name, tensor, persistent=False)

    def weight(self) -> torch.Tensor:
        """[rows, columns], in the format that the weights were in."""
        rows, columns = self.shape
        codes = unpacked(self.codes).view(rows, -1, self.block)
        whole = list(self.scales.shape)
        whole[self.split.dim] *= self.split.ranks
        scales = large(self.scales, self.outer, self.mean, self.split.part(group_of(whole[0], whole[1], codes.device)))
        found: torch.Tensor = self.levels[codes.int()] * scales[..., None]
        return found.view(rows, columns).to(self.dtype)


class Frozen(torch.autograd.Function):
    """x Wᵀ, with W made again for the gradient of x: it is never kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: NF4) -> torch.Tensor:
        ctx.weight = weight
        return F.linear(x, weight.weight())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] @ ctx.weight.weight(), None


class NF4Linear(torch.nn.Module):
    """A parallel linear layer whose weights are frozen in NF4; it computes what Megatron's does."""

    def __init__(self, linear: Linear, gated: bool, block: int) -> None:
        super().__init__()
        self.column, group = isinstance(linear, ColumnParallelLinear), linear.tp_group
        split = Split(group.size(), group.rank(), 0 if self.column else 1, 2 if gated and self.column else 1, group)
        self.packed = NF4(linear.weight.data, split, block)
        self.noted = {name: value for name, value in vars(linear.weight).items() if name in NOTED}
        linear.weight = None
        self.linear, self.bias, self.skip_bias_add = linear, linear.bias, linear.skip_bias_add

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        group, scattered = self.linear.tp_group, self.linear.sequence_parallel
        if not self.column:
            reduce = reduce_scatter_to_sequence_parallel_region if scattered else reduce_from_tensor_model_parallel_region
            out = reduce(Frozen.apply(x, self.packed), group=group)
        else:
            x = gather_from_sequence_parallel_region(x, group=group) if scattered else copy_to_tensor_model_parallel_region(x, group=group)
            out = Frozen.apply(x, self.packed)
        if self.bias is not None and not self.skip_bias_add:
            out = out + self.bias
        if self.column and self.linear.gather_output:
            out = gather_from_tensor_model_parallel_region(out, group=group)
        return out, self.bias if self.skip_bias_add else None

    def plain(self) -> Linear:
        """The layer as it was, but for what quantisation has changed."""
        self.linear.weight = torch.nn.Parameter(self.packed.weight())
        for name, value in self.noted.items():
            setattr(self.linear.weight, name, value)
        return self.linear


NOTED = ("tensor_model_parallel", "partition_dim", "partition_stride", "allreduce", "sequence_parallel")
