"""Sophia's update, as a torch optimizer."""

from __future__ import annotations

from typing import Any

import torch


class ClippedNewton(torch.optim.Optimizer):
    """Liu et al. 2023, Algorithm 3: the Hessian's diagonal h is estimated at step 1 and every `hessian_every` steps after it.

    m <- b1 m + (1 - b1) g;  maybe h <- b2 h + (1 - b2) targets g^2;  w <- w - lr decay w - lr clip(m / max(gamma h, epsilon), 1)
    """

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "targets": 1, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            (b1, b2), lr = group["betas"], group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), device="cpu")
                    state["momentum"] = torch.zeros_like(parameter)
                    state["hessian"] = torch.zeros_like(parameter)
                momentum, hessian = state["momentum"], state["hessian"]
                momentum.lerp_(gradient, 1 - b1)
                if int(state["step"]) % group["hessian_every"] == 0:
                    hessian.mul_(b2).addcmul_(gradient, gradient, value=(1 - b2) * group["targets"])
                state["step"] += 1
                newton = momentum / (hessian * group["gamma"]).clamp_(min=group["epsilon"])
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(newton.clamp_(-1, 1), alpha=-lr)
