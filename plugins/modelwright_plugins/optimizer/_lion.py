"""Lion's update, as a torch optimizer."""

from __future__ import annotations

from typing import Any

import torch


class SignOfMean(torch.optim.Optimizer):
    """Chen et al. 2023, Algorithm 2; the mean of gradients m starts at 0 and counts no steps.

    c = b1 m + (1 - b1) g;  w <- w - lr (sign(c) + decay w);  m <- b2 m + (1 - b2) g
    """

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if not (parameters := [p for p in group["params"] if p.grad is not None]):
                continue
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            gradients: list[torch.Tensor] = [p.grad for p in parameters]
            means = [self.state[p]["momentum"] for p in parameters]
            updates = torch._foreach_lerp(means, gradients, 1 - group["betas"][0])
            torch._foreach_sign_(updates)
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, updates, alpha=-group["lr"])
            torch._foreach_lerp_(means, gradients, 1 - group["betas"][1])
