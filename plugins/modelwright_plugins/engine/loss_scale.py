"""The scale of the loss under FP16, one for all parameters."""

from __future__ import annotations

from megatron.core.optimizer.grad_scaler import DynamicGradScaler

from modelwright.errors import ModelwrightError


class LossScaler(DynamicGradScaler):
    """Megatron's dynamic scale, shared by the optimizers that are updated together.

    Each of Megatron-Core 0.16.1's `ChainedOptimizer` (expert parameters have one of their own) has a scale of its own, and lowers it
    when its own gradients overflow; but the loss is multiplied by the first one's, so after an overflow of experts alone their
    gradients would be divided by another scale than the loss was multiplied with.
    """

    overflowed = False

    def update(self, found_inf: bool) -> None:
        """One optimizer has looked at its gradients; the others still divide by the same scale."""
        self.overflowed |= found_inf

    def settle(self) -> None:
        """All have: the scale is now what the next update uses. ModelwrightError: it would be lower than the lowest."""
        if self.overflowed and self._scale <= self.min_scale:
            raise ModelwrightError(
                f"a gradient overflows FP16 even at the smallest loss scale, precision.min_scale={float(self.min_scale):g}; "
                "a lower optimizer.lr or a longer schedule.warmup may help, and precision=bf16 has the range of FP32"
            )
        super().update(self.overflowed)
        self.overflowed = False

    def numbers(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"scale": float(self._scale), "growth": self._growth_tracker, "hysteresis": self._hysteresis_tracker}

    def set(self, numbers: dict[str, float]) -> None:
        self._scale.fill_(numbers["scale"])
        self._growth_tracker, self._hysteresis_tracker = int(numbers["growth"]), int(numbers["hysteresis"])
