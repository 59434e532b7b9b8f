"""Precisions: in which number formats a model is computed and trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.engine.loss_scale import LossScaler
    from modelwright_plugins.kernel import Kernel


class Precision(Component, ABC):
    """In which number formats a model is computed and trained."""

    grad_reduce_fp32: bool = True  # gradients are summed over micro-batches and ranks in FP32

    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Fields of Megatron's TransformerConfig and OptimizerConfig."""

    @abstractmethod
    def bytes_per_parameter(self) -> tuple[int, int, int]:
        """(weight, gradient, FP32 main copy) in bytes."""

    def loss_scaler(self) -> LossScaler | None:
        """Of what the loss is multiplied with before the backward pass, and gradients divided by after it. None: with nothing."""
        return None

    def problems(self, kernel: Kernel) -> list[str]:
        """Why it can't be trained in with this kernel on this machine, one line each. Imports nothing heavy."""
        return []
