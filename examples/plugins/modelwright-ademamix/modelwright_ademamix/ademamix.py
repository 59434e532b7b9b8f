"""AdEMAMix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class AdEMAMix(Optimizer):
    """AdEMAMix: AdamW with a second, slow mean of the gradients (Pagliardini et al. 2024, arXiv:2409.03137, Algorithm 1).

    The update is lr * ((m1 / (1 - b1^t) + alpha(t) m2) / (sqrt(v / (1 - b2^t)) + epsilon) + weight_decay * weight), where m1
    and m2 are means of the gradients with decay b1 and b3(t), and v of their squares with decay b2. The slow mean has no
    correction of its bias. Without the schedules of alpha and b3 early training is easily unstable (section 3).
    """

    elementwise: ClassVar[bool] = True

    lr: float = 1e-3  # peak learning rate, a step
    betas: tuple[float, float, float] = (0.9, 0.999, 0.9999)  # decay a step: the fast mean, the squares, the slow mean
    alpha: float = 5.0  # weight of the slow mean beside the fast one; the paper uses 4 to 10
    ramp_steps: int | None = None  # steps over which alpha grows from 0, and the slow decay from betas[0]; the paper: all; None: no ramp
    epsilon: float = 1e-8  # added to the root of the squares
    weight_decay: float = 0.1  # decoupled, times the learning rate; norms and biases have none

    def __post_init__(self) -> None:
        for name, beta in zip(("fast mean", "squares", "slow mean"), self.betas, strict=True):
            if not 0 < beta < 1:
                raise ValueError(f"betas: the decay of the {name} is between 0 and 1, and is {beta}")
        if self.betas[2] < self.betas[0]:
            raise ValueError(
                f"betas: the slow mean decays as slowly as the fast one or slower; {self.betas[2]} is less than {self.betas[0]}"
            )
        for name in ("lr", "alpha", "epsilon", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")
        if self.ramp_steps is not None and self.ramp_steps < 1:
            raise ValueError(f"ramp_steps is {self.ramp_steps}; it is 1 or more, or null for no ramp")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from modelwright_ademamix._torch import TorchAdEMAMix

        for group in groups:
            group |= {"lr": self.lr, "weight_decay": 0.0 if group["role"] == "vector" else self.weight_decay}
        return TorchAdEMAMix(groups, betas=self.betas, alpha=self.alpha, ramp_steps=self.ramp_steps, epsilon=self.epsilon)

    def state_bytes(self, role: str) -> int:
        return 12
