"""Optimizers: how gradients become updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import torch


class Optimizer(Component, ABC):
    """How gradients become updates; the engine wraps it for mixed precision, sharding and clipping."""

    elementwise: ClassVar[bool] = True
    """Each element's update needs only that element's gradient and state, so that Megatron's distributed optimizer may
    cut parameters anywhere. False (Muon): parameters stay whole, and ranks share them out one by one."""

    lr: float = 1e-3  # peak learning rate, a step; the schedule scales it

    @abstractmethod
    def build(self, groups: list[dict[str, object]]) -> torch.optim.Optimizer:
        """An optimizer over `groups`: torch parameter groups (`params`, `lr`, `weight_decay`, and `role`, which is
        'matrix' (a hidden 2-D weight), 'embedding' (embedding and output weights) or 'vector' (norms, biases))."""
