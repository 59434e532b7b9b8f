"""Precisions: in which number formats a model is computed and trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    import torch


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
