"""Low-rank updates of Megatron's parallel linear layers: W + sBA, under any tensor layout.

Of a layer that splits its outputs (column), B is split like it, and A is whole on each rank; of one that splits its inputs (row), A is,
and B is whole. What goes between ranks has the rank's width: A's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from megatron.core.tensor_parallel import ColumnParallelLinear, RowParallelLinear
from megatron.core.tensor_parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_sequence_parallel_region,
    gather_from_tensor_model_parallel_region,
    reduce_from_tensor_model_parallel_region,
    reduce_scatter_to_sequence_parallel_region,
)
from megatron.core.tensor_parallel.random import get_cuda_rng_tracker
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._frozen import New, draw, freeze, thaw

LINEARS = (ColumnParallelLinear, RowParallelLinear)
Linear = Any  # one of these, which have no types


class LowRank(New):
    """A [rank, inputs], B [outputs, rank] of one layer, and with `magnitude` DoRA's lengths of W's rows, m [outputs].

    `weight` gives the layer's frozen weights, [outputs, inputs] of this rank.
    """

    def __init__(
        self, linear: Linear, weight: Callable[[], torch.Tensor], *, rank: int, scale: float, dropout: float, magnitude: bool, gated: bool
    ) -> None:
        super().__init__()
        self.column, self.scattered = isinstance(linear, ColumnParallelLinear), linear.sequence_parallel
        self.gathers = self.column and linear.gather_output
        self.group, self.scale, self.dropout, self.weight = linear.tp_group, scale, dropout, weight
        whole = weight()
        outputs, inputs = whole.shape
        self.a = torch.nn.Parameter(whole.new_zeros(rank, inputs))
        self.b = torch.nn.Parameter(whole.new_zeros(outputs, rank))  # so that the model starts as it was
        self.m = torch.nn.Parameter(self.lengths()) if magnitude else None
        self.split = {"b": 0, "m": 0} if self.column else {"a": 1}
        self.split = {name: dimension for name, dimension in self.split.items() if name != "m" or magnitude}
        self.halves = tuple(self.split) if self.column and gated else ()
        self.mark(self.group, scattered=self.scattered)

    def update(self) -> torch.Tensor:
        """sBA of this rank: [outputs, inputs]."""
        return self.scale * (self.b @ self.a)

    @torch.no_grad()
    def lengths(self) -> torch.Tensor:
        """‖W + sBA‖ of each row over all inputs: [outputs]. Liu et al. 2024 (arXiv:2402.09353, section 4.3): it is no part of the graph."""
        squares = (self.weight() + self.update()).float().square().sum(1)
        if not self.column and self.group.size() > 1:
            dist.all_reduce(squares, group=self.group)
        return squares.sqrt().to(self.a.dtype)

    def forward(self, x: torch.Tensor, out: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """`out` [..., outputs] of the layer for `x` [..., inputs], with what is new. `bias`: what `out` has in it already."""
        new = self.scale * self._through(self._dropped(x))
        if self.m is not None:
            ratio = self.m / self.lengths()
            new = ratio * new + (ratio - 1) * (out if bias is None else out - bias)
        return out + (gather_from_tensor_model_parallel_region(new, group=self.group) if self.gathers else new)

    def _through(self, x: torch.Tensor) -> torch.Tensor:
        low = F.linear(x, self.a)
        if self.column:
            if self.scattered:  # the gradient of each rank's outputs is summed, and this rank keeps its part of the sequence
                low = gather_from_sequence_parallel_region(low, tensor_parallel_output_grad=True, group=self.group)
            else:
                low = copy_to_tensor_model_parallel_region(low, group=self.group)
        elif self.scattered:
            low = reduce_scatter_to_sequence_parallel_region(low, group=self.group)
        else:
            low = reduce_from_tensor_model_parallel_region(low, group=self.group)
        return F.linear(low, self.b)

    def _dropped(self, x: torch.Tensor) -> torch.Tensor:
        """Where each rank has inputs of its own, each has dropout of its own."""
        if not self.dropout or not self.training:
            return x
        if self.column and not self.scattered:
            return F.dropout(x, self.dropout)
        with get_cuda_rng_tracker().fork():
            return F.dropout(x, self.dropout)

    @torch.no_grad()
    def merged(self) -> torch.Tensor:
        """The weights that do the same: [outputs, inputs]."""
        weights = self.weight() + self.update()
        return weights if self.m is None else (self.m / self.lengths())[:, None] * weights


class Wrapped(torch.nn.Module):
    """A layer and its low-rank update. It saves the update only."""

    def __init__(self, base: Any, adapter: LowRank) -> None:
        super().__init__()
        self.base: Any = base
        self.adapter = adapter

    def forward(self, x: torch.Tensor, *arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        out, bias = self.base(x, *arguments, **options)
        return self.adapter(x, out, None if self.base.skip_bias_add else self.base.bias), bias

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: Any = (), metadata: Any = None) -> dict[str, Any]:
        return self.adapter.sharded_state_dict(f"{prefix}adapter.", sharded_offsets, metadata)

    def backward_dw(self) -> None:
        self.base.backward_dw()


def linears(chunk: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, Linear]]:
    """(module, name in it, layer) of each layer `linear_<target>`. Those of experts see other tokens on each rank, and what a hook changes
    is not what the layer's weights say: they can't be adapted so."""
    for module in list(chunk.modules()):
        for name, child in list(module.named_children()):
            if name.startswith("linear_") and isinstance(child, LINEARS) and not child.is_expert and not child._forward_hooks:
                yield module, name, child


def attach(
    chunks: list[MegatronModule],
    targets: list[str],
    make: Callable[[Linear, bool], tuple[torch.nn.Module, LowRank]],
    *,
    seed: int,
) -> None:
    """Wrap the layers, and draw A: uniform in ±1/√inputs, as in the reference implementation of LoRA. B is 0."""
    there = [name.removeprefix("linear_") for chunk in chunks for _, name, _ in linears(chunk)]
    told: list[list[str]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(told, there)
    if missing := {*targets} - (known := {name for each in told for name in each}):
        raise ModelwrightError(
            f"adapter.targets={targets}: the model has no {', '.join(sorted(missing))} to adapt; it has {', '.join(sorted(known))}"
        )
    for chunk in chunks:
        freeze(chunk)
        for module, name, linear in list(linears(chunk)):
            if name.removeprefix("linear_") in targets:
                base, adapter = make(linear, name == "linear_fc1" and chunk.config.gated_linear_unit)
                setattr(module, name, Wrapped(base, adapter))

    def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        if not name.endswith(".adapter.a"):
            return None
        return (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(shape[1])

    draw(chunks, seed, drawn)


@torch.no_grad()
def merge(chunks: list[MegatronModule], plain: Callable[[Any], Linear]) -> None:
    """`plain`: the layer that a wrapped one was made of."""
    for chunk in chunks:
        for module in list(chunk.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Wrapped):
                    weights = child.adapter.merged()
                    linear = plain(child.base)
                    linear.weight.data.copy_(weights)
                    setattr(module, name, linear)
        thaw(chunk)
