"""Training in one floating-point format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.precision import Precision

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.engine.loss_scale import LossScaler


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


@dataclass(frozen=True, kw_only=True)
class FP16(Precision):
    """Weights and activations in 16-bit floats, with a scale for the loss; the optimizer updates an FP32 copy.

    Micikevicius et al. 2018 (arXiv:1710.03740). Gradients smaller than 6e-8 would be zero, so the loss is multiplied by a scale
    (section 3.2): lowered when a gradient overflows 65,504, and that batch's update left out; raised after a number of updates
    without. Here the loss is the sum over the targets of a micro-batch, where others take the mean: the same gradients have a scale
    that is smaller by the number of those targets.
    """

    grad_reduce_fp32: bool = True  # gradients are summed over micro-batches and ranks in FP32
    initial_scale: float = 1024.0  # of the loss, at the first step
    growth: float = 2.0  # times the scale, after growth_interval updates
    growth_interval: int = 1000  # updates, with no overflow among them
    backoff: float = 0.5  # times the scale, at an overflow
    hysteresis: int = 2  # overflows until the scale is lowered, counted anew each time that it is raised
    min_scale: float = 2**-15  # the scale is never lower; an overflow there ends the training

    def __post_init__(self) -> None:
        for name in ("growth_interval", "hysteresis"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if not 0 < self.min_scale <= self.initial_scale:
            raise ValueError(f"min_scale is {self.min_scale}; it is more than 0, and at most initial_scale={self.initial_scale}")
        if self.growth <= 1:
            raise ValueError(f"growth is {self.growth}; it is more than 1")
        if not 0 < self.backoff < 1:
            raise ValueError(f"backoff is {self.backoff}; it is between 0 and 1")

    def dtype(self) -> torch.dtype:
        import torch

        return torch.float16

    def settings(self) -> dict[str, Any]:
        return {"params_dtype": self.dtype(), "fp16": True}

    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 4 if self.grad_reduce_fp32 else 2, 4

    def loss_scaler(self) -> LossScaler:
        from modelwright_plugins.engine.loss_scale import LossScaler

        return LossScaler(self.initial_scale, self.min_scale, self.growth, self.backoff, self.growth_interval, self.hysteresis)
