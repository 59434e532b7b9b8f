"""How tensor parallelism splits a parameter. What needs to know of the whole of it gathers with this: some optimizers, quantizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """The parts of one parameter on `ranks` tensor ranks, along `dim`. With one rank, nothing is split and nothing is sent.

    A part may itself hold `stride` pieces that are not neighbours in the whole: of a gated matrix, each rank has some rows of
    the gate, then the same rows of the other half. The whole is in the order that one rank would hold it in, so what is
    known of it can be loaded where there are more or fewer ranks.
    """

    ranks: int = 1
    rank: int = 0
    dim: int = 0
    stride: int = 1
    group: dist.ProcessGroup | None = None

    @classmethod
    def of(cls, parameter: Tensor, settings: dict[str, Any]) -> Split:
        """From what Megatron notes on a parameter; `settings` is the parameter group that it is in.

        Experts may be split over other ranks than the rest. Megatron notes that on the parameter, and not on its FP32 copy.
        """
        if not getattr(parameter, "tensor_model_parallel", False):
            return cls()
        from megatron.core import parallel_state

        expert = settings.get("is_expert_parallel", False) or not getattr(parameter, "allreduce", True)
        group = parallel_state.get_expert_tensor_parallel_group() if expert else parallel_state.get_tensor_model_parallel_group()
        dim, stride = parameter.partition_dim, getattr(parameter, "partition_stride", 1)  # type: ignore[attr-defined]
        return cls(group.size(), group.rank(), dim, stride, group)

    def whole(self, part: Tensor, dim: int | None = None) -> Tensor:
        """All ranks' parts together along `dim` (the parameter's own unless told)."""
        if self.ranks == 1:
            return part
        dim = self.dim if dim is None else dim
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.ranks)]
        dist.all_gather(parts, part.contiguous(), group=self.group)
        pieces = zip(*(each.chunk(self.stride, dim) for each in parts), strict=True)
        return torch.cat([piece for same in pieces for piece in same], dim)

    def part(self, whole: Tensor, dim: int | None = None) -> Tensor:
        """This rank's part of the whole: what `whole` puts together, taken apart."""
        if self.ranks == 1:
            return whole
        dim = self.dim if dim is None else dim
        return torch.cat([piece.chunk(self.ranks, dim)[self.rank] for piece in whole.chunk(self.stride, dim)], dim)

    def total(self, part: Tensor) -> Tensor:
        """The sum over ranks, of what each has summed over its part."""
        if self.ranks > 1:
            dist.all_reduce(part, group=self.group)
        return part

    def shape(self, parameter: Tensor) -> tuple[int, int]:
        """Rows and columns of the whole; of more than two dimensions, all but the first are columns."""
        rows, columns = len(parameter), parameter[0].numel()
        return (rows * self.ranks, columns) if self.dim == 0 else (rows, columns * self.ranks)
