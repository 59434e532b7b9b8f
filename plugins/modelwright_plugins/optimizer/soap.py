"""SOAP."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative, with_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SOAP(Optimizer):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv:2409.11321, Algorithm 3).

    A matrix's gradient is rotated by the eigenvectors of the means of GGᵀ and GᵀG; Adam runs there, and its update is rotated
    back. The eigenvectors follow by one power iteration every `rotate_every` steps. The first step only finds them: as in the
    authors' code, it moves no matrix. Norms and biases have AdamW. A dimension above `max_dimension`, and the rows of an
    embedding, are not rotated. A matrix that tensor parallelism splits is gathered, and each tensor rank does the same.
    """

    elementwise: ClassVar[bool] = False

    lr: float = 3e-3  # peak learning rate, a step
    betas: tuple[float, float] = (0.95, 0.95)  # decay of the mean of gradients and of their squares, a step
    rotation_beta: float = 0.95  # decay of the means whose eigenvectors rotate, a step
    rotate_every: int = 10  # steps from one power iteration to the next
    max_dimension: int = 10_000  # rows or columns; a larger dimension is not rotated (the paper's third detail)
    epsilon: float = 1e-8  # added to the root of the mean of squares
    weight_decay: float = 0.01  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        not_negative(self, "lr", "max_dimension", "epsilon", "weight_decay")
        decays(self, "betas", "rotation_beta")
        if self.rotate_every < 1:
            raise ValueError(f"rotate_every is {self.rotate_every}; it is 1 or more")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.optimizer._soap import RotatedAdam

        return RotatedAdam(
            with_rates(groups, lr=self.lr, weight_decay=self.weight_decay),
            betas=self.betas,
            rotation_beta=self.rotation_beta,
            rotate_every=self.rotate_every,
            max_dimension=self.max_dimension,
            epsilon=self.epsilon,
        )

    def state_bytes(self, role: str) -> int:
        return 8

    def matrix_bytes(self, role: str, shape: tuple[int, ...]) -> int:
        sides = {"matrix": (shape[0], prod(shape[1:])), "embedding": (prod(shape[1:]),), "vector": ()}[role]
        return sum(8 * side**2 for side in sides if side <= self.max_dimension)  # a mean and a rotation in FP32
