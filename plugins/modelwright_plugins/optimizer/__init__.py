"""Optimizers: how gradients become updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import torch


class Optimizer(Component, ABC):
    """How gradients become updates; the engine wraps it for mixed precision, sharding and clipping."""

    elementwise: ClassVar[bool] = False
    """Each element's update needs only that element's gradient and state, and all state has the parameter's shape but `step`: Megatron's
    distributed optimizer may cut parameters anywhere. False: they stay whole, and ranks share them out."""

    lr: float = 1e-3  # peak learning rate, a step; the schedule scales it

    @abstractmethod
    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """An optimizer over `groups`, torch parameter groups with `params` (maybe none) and `role`: 'matrix' (a hidden
        weight of two dimensions), 'embedding' (embedding and output weights) or 'vector' (norms and biases).

        It sets `lr` and `weight_decay` of each group and keeps the groups' order and other keys. Before each step a group's
        `targets` is set to how many targets the gradient is the mean of. A parameter that
        tensor parallelism splits has `tensor_model_parallel` true and `partition_dim`.

        Checkpoints keep of a parameter's state: `step`, if it counts steps; each tensor of the parameter's shape; and in
        `matrix`, a dict of tensors of any shape: what is known of the whole matrix that tensor ranks may split, the same
        on each of them and with any number of them.
        """

    @abstractmethod
    def state_bytes(self, role: str) -> int:
        """Bytes of state for each element of a parameter of this role."""

    def matrix_bytes(self, role: str, shape: tuple[int, ...]) -> int:
        """Bytes of state of a parameter of this role, besides `state_bytes` of its elements: what is kept of a whole matrix
        of this shape, on each of the tensor ranks that split it."""
        return 0
