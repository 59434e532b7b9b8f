"""AdEMAMix as a torch optimizer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def slow_weight(step: int, alpha: float, ramp: int | None) -> float:
    """alpha(t): linear from 0 (the paper's f_alpha)."""
    return alpha if ramp is None else min(step / ramp, 1.0) * alpha


def slow_decay(step: int, start: float, end: float, ramp: int | None) -> float:
    """beta3(t): linear in the mean's half-life, from `start` (the paper's f_beta3)."""
    if ramp is None or step >= ramp:
        return end
    done = step / ramp
    return min(math.exp(math.log(start) * math.log(end) / ((1 - done) * math.log(end) + done * math.log(start))), end)


class TorchAdEMAMix(torch.optim.Optimizer):
    """Settings of a group: lr, weight_decay, betas, alpha, ramp_steps, epsilon. State: step, exp_avg, exp_avg_slow, exp_avg_sq."""

    def __init__(self, groups: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **settings})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            for name in ("exp_avg", "exp_avg_slow", "exp_avg_sq"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        step = int(state["step"])
        fast, square, slow = group["betas"]
        slow_now = slow_decay(step, fast, slow, group["ramp_steps"])
        state["exp_avg"].lerp_(gradient, 1 - fast)
        state["exp_avg_slow"].mul_(slow_now).add_(gradient, alpha=1 - slow_now)  # lerp_ rounds a weight of 1e-4 less well
        state["exp_avg_sq"].mul_(square).addcmul_(gradient, gradient, value=1 - square)
        root = (state["exp_avg_sq"] / (1 - square**step)).sqrt_().add_(group["epsilon"])
        mixed = state["exp_avg"] / (1 - fast**step)
        mixed.add_(state["exp_avg_slow"], alpha=slow_weight(step, group["alpha"], group["ramp_steps"]))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(mixed, root, value=-group["lr"])
