"""Parallel layouts: how a model and its batch are spread over ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture


class Parallel(Component, ABC):
    """How a model and its batch are spread over ranks."""

    data: int | None = None  # copies of the model, each with its share of the batch; None: as many as the ranks allow
    tensor: int = 1  # ranks that split each matrix
    pipeline: int = 1  # ranks that split the layers
    virtual: int | None = None  # groups of layers that each pipeline rank holds
    context: int = 1  # ranks that split each sequence
    expert: int = 1  # ranks that share out the experts of a mixture of experts
    expert_tensor: int | None = None  # ranks that split each expert's matrices; None: as `tensor`
    distributed_optimizer: bool = False  # data ranks share out the optimizer's state
    fully_sharded: bool = False  # data ranks share out weights, gradients and the optimizer's state

    @abstractmethod
    def ranks(self, world: int | None) -> int:
        """How many ranks a run has; `world` is how many were started for us or have a device, None if we are to say."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Fields of Megatron's TransformerConfig."""

    @abstractmethod
    def problems(
        self, architecture: Architecture, *, global_batch: int, micro_batch: int, sequence_length: int, world: int | None
    ) -> list[str]:
        """Why this model and batch can't be spread so, one line each. Pure arithmetic."""
