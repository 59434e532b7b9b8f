"""Muon for matrices and AdamW for the rest, in one torch optimizer, under tensor parallelism."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from modelwright_plugins.engine.split import Split

# coefficients of the quintic that takes singular values to about 1 in five steps (Jordan et al. 2024)
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """UVᵀ of `matrix` = USVᵀ, roughly: its singular values come to lie in about [0.7, 1.2]. [..., rows, columns], same dtype out.

    In FP32 on a CPU, where bfloat16 is slow, and in bfloat16 on a GPU, as published.
    """
    a, b, c = QUINTIC
    x = matrix.to(torch.bfloat16) if matrix.is_cuda else matrix.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)


class MuonAdamW(torch.optim.Optimizer):
    """Groups of role 'matrix' get Muon, others AdamW."""

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            (self._muon if group["role"] == "matrix" else self._adamw)(group)

    def _muon(self, group: dict[str, Any]) -> None:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), device="cpu")
                state["momentum"] = torch.zeros_like(parameter)
            state["step"] += 1
            gradient, momentum = parameter.grad, state["momentum"]
            momentum.lerp_(gradient, 1 - group["momentum"])
            direction = gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
            split = Split.of(parameter, group)
            whole = split.whole(direction)
            update = split.part(orthogonalised(whole.flatten(1), group["ns_steps"]).view_as(whole))
            rows, columns = split.shape(parameter)
            scale = max(1.0, rows / columns) ** 0.5 if group["scale"] == "shape" else 0.2 * max(rows, columns) ** 0.5
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)

    def _adamw(self, group: dict[str, Any]) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters],
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [s["step"] for s in states],
            fused=bool(parameters),
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
