"""Objectives: what the model is trained to do with a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import torch


class Objective(Component, ABC):
    """What the model is trained to do with a batch: its inputs, and the loss of what comes out."""

    architecture: ClassVar[str] = "causal_decoder"
    """The name of an architecture that understands `inputs`: a small one of it is what conformance trains."""

    @abstractmethod
    def inputs(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """Named arguments of the model for token ids [batch, length + 1]."""

    @abstractmethod
    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(sum of the loss over this microbatch's targets, how many targets): the engine divides by the count of the
        whole global batch, so that no layout and no micro-batch size changes what is learned."""
