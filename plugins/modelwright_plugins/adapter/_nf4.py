"""NormalFloat of 4 bits with double quantisation (Dettmers et al. 2023, arXiv:2305.14314, section 3 and appendix E)."""

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
from modelwright_plugins.optimizer._split import Split

GROUP = 256  # scales that share one scale of their own
LARGEST = 448.0  # of float8_e4m3fn
TAIL = 0.9677083  # where the outermost quantile is taken: the mean of 1 - 1/(2·15) and 1 - 1/(2·16)


def levels() -> torch.Tensor:
    """The 16 numbers, in order: quantiles of the normal distribution, 8 of the positive half and 7 of the negative, and 0."""

    def half(count: int) -> torch.Tensor:
        return torch.special.ndtri(torch.linspace(TAIL, 0.5, count + 1, dtype=torch.float64)[:-1])

    found = torch.cat([-half(7), torch.zeros(1, dtype=torch.float64), half(8).flip(0)])
    return (found / found.max()).float()


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
        blocks = weight.detach().float().view(rows, -1, block)
        largest = blocks.abs().amax(-1)
        normal = blocks / largest.clamp(min=torch.finfo(torch.float32).tiny)[..., None]
        table = levels().to(weight.device)
        codes = torch.bucketize(normal, (table[1:] + table[:-1]) / 2).view(rows, columns).to(torch.uint8)
        whole = split.whole(largest)
        mean = whole.mean()
        groups = F.pad((whole - mean).flatten(), (0, -whole.numel() % GROUP)).view(-1, GROUP)
        outer = groups.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny)
        small = (groups / outer[:, None] * LARGEST).to(torch.float8_e4m3fn).view(torch.uint8).flatten()[: whole.numel()].view_as(whole)
        kept = {"codes": codes[:, ::2] << 4 | codes[:, 1::2], "scales": split.part(small).contiguous()}
        for name, tensor in {**kept, "outer": outer, "mean": mean, "levels": table}.items():
            self.register_buffer(name, tensor, persistent=False)

    def weight(self) -> torch.Tensor:
        """[rows, columns], in the format that the weights were in."""
        rows, columns = self.shape
        codes = torch.stack([self.codes >> 4, self.codes & 15], -1).view(rows, -1, self.block)
        shape = list(self.scales.shape)
        shape[self.split.dim] *= self.split.ranks
        count = shape[0] * shape[1]
        group = self.split.part((torch.arange(count, device=codes.device) // GROUP).view(shape))
        scales = self.scales.contiguous().view(torch.float8_e4m3fn).float() / LARGEST * self.outer[group] + self.mean
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
