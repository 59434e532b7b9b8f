"""Muon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer._settings import decays, not_negative

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Muon(Optimizer):
    """Muon on hidden matrices (Jordan et al. 2024), AdamW on embeddings, norms and biases.

    A matrix's momentum is orthogonalised by a Newton-Schulz iteration before it is added; a matrix that tensor
    parallelism splits is gathered for that, so the update is the whole matrix's. See
    https://kellerjordan.github.io/posts/muon and Liu et al. 2025, arXiv:2502.16982.
    """

    elementwise: ClassVar[bool] = False

    lr: float = 0.02  # peak learning rate of matrices, a step
    momentum: float = 0.95  # decay of the mean of gradients, a step
    nesterov: bool = True  # look ahead by one step of momentum
    ns_steps: int = 5  # Newton-Schulz iterations
    scale: Literal["shape", "match_rms_adamw"] = "shape"  # sqrt(max(1, rows/columns)), or 0.2 sqrt(max(rows, columns)) (Liu, eq. 4)
    weight_decay: float = 0.0  # of matrices and embeddings: decoupled, times the learning rate
    adamw_lr: float = 3e-3  # peak learning rate of the rest, a step
    adamw_betas: tuple[float, float] = (0.9, 0.95)  # AdamW's, for the rest
    adamw_epsilon: float = 1e-8  # AdamW's, for the rest

    def __post_init__(self) -> None:
        not_negative(self, "lr", "adamw_lr", "adamw_epsilon", "weight_decay")
        decays(self, "momentum", "adamw_betas")
        if self.ns_steps < 1:
            raise ValueError(f"ns_steps is {self.ns_steps}; it is 1 or more")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_plugins.optimizer._muon import MuonAdamW

        for group in groups:
            matrix = group["role"] == "matrix"
            group |= {"lr": self.lr if matrix else self.adamw_lr, "weight_decay": 0.0 if group["role"] == "vector" else self.weight_decay}
        return MuonAdamW(
            groups,
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.ns_steps,
            scale=self.scale,
            betas=self.adamw_betas,
            eps=self.adamw_epsilon,
        )

    def state_bytes(self, role: str) -> int:
        return 4 if role == "matrix" else 8
