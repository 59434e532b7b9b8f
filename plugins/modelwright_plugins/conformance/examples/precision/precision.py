"""bfloat16 with small gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.precision import Precision

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SmallGradients(Precision):
    """Weights, activations and gradients in bfloat16, half the memory and traffic of FP32; the optimizer updates an FP32 copy."""

    grad_reduce_fp32: bool = False  # gradients are summed over micro-batches and ranks in FP32

    def dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16

    def settings(self) -> dict[str, Any]:
        return {"params_dtype": self.dtype(), "bf16": True}

    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 4 if self.grad_reduce_fp32 else 2, 4
