"""Training in one floating-point format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.precision import Precision

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class FP32(Precision):
    """Everything in 32-bit floats."""

    def dtype(self) -> torch.dtype:
        import torch

        return torch.float32

    def settings(self) -> dict[str, Any]:
        return {"params_dtype": self.dtype()}

    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 4, 4, 0


@dataclass(frozen=True, kw_only=True)
class BF16(Precision):
    """Weights and activations in bfloat16; the optimizer updates an FP32 copy (Kalamkar et al. 2019)."""

    grad_reduce_fp32: bool = True  # gradients are summed over micro-batches and ranks in FP32

    def dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16

    def settings(self) -> dict[str, Any]:
        return {"params_dtype": self.dtype(), "bf16": True}

    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 4 if self.grad_reduce_fp32 else 2, 4
