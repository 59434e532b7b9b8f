"""Kernels: which implementation computes a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider


class Kernel(Component, ABC):
    """Which implementation computes a layer; checkpoints don't depend on it."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Fields of Megatron's TransformerConfig."""

    @abstractmethod
    def modules(self) -> BackendSpecProvider:
        """The modules that architectures build layers from: linear layers, norms, core attention, experts."""

    def problems(self) -> list[str]:
        """Why it can't run on this machine, one line each. Imports nothing heavy."""
        return []
