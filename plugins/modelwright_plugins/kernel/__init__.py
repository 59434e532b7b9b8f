"""Kernels: which implementation computes a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    from megatron.core.transformer.spec_utils import ModuleSpec
    from megatron.core.transformer.transformer_config import TransformerConfig


class Kernel(Component, ABC):
    """Which implementation computes a layer; checkpoints don't depend on it."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Fields of Megatron's TransformerConfig."""

    @abstractmethod
    def layer(self, config: TransformerConfig) -> ModuleSpec:
        """The spec of one transformer layer."""

    @abstractmethod
    def norm(self) -> Any:
        """The module of the final norm."""

    def problems(self) -> list[str]:
        """Why it can't run on this machine, one line each. Imports nothing heavy."""
        return []
