"""What stands in the place of Megatron's parallel linear layers, and computes with other weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.tensor_parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_sequence_parallel_region,
    gather_from_tensor_model_parallel_region,
    reduce_from_tensor_model_parallel_region,
    reduce_scatter_to_sequence_parallel_region,
)


class ParallelLinear(torch.nn.Module, ABC):
    """In the place of one of Megatron's layers: what goes between tensor ranks is as there, and the product is its own."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.column = isinstance(linear, ColumnParallelLinear)
        self.tp_group, self.scattered, self.apart = linear.tp_group, linear.sequence_parallel, linear.explicit_expert_comm
        self.gathers, self.skip_bias_add = self.column and linear.gather_output, linear.skip_bias_add
        self.is_expert, self.bias = linear.is_expert, linear.bias

    @abstractmethod
    def product(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., inputs of this rank] times this rank's part of the transposed matrix: [..., outputs of this rank]."""

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As Megatron's layer: x [length, rows, inputs] -> [length, rows, outputs] and, if it is not added here, the bias."""
        group, scattered = self.tp_group, self.scattered and not self.apart
        if self.column and scattered:
            x = gather_from_sequence_parallel_region(x, group=group)
        elif self.column and not self.apart:
            x = copy_to_tensor_model_parallel_region(x, group=group)
        out = self.product(x)
        if not self.column and scattered:
            out = reduce_scatter_to_sequence_parallel_region(out, group=group)
        elif not self.column and not self.apart:
            out = reduce_from_tensor_model_parallel_region(out, group=group)
        if self.bias is not None and not self.skip_bias_add:
            out = out + self.bias
        if self.gathers:
            out = gather_from_tensor_model_parallel_region(out, group=group)
        return out, self.bias if self.skip_bias_add else None
