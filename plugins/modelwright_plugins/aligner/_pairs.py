"""Losses of pairs, by the margin of the chosen reply over the rejected one."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


def of_margin(kind: str, margin: torch.Tensor, beta: float, smoothing: float) -> torch.Tensor:
    """Of each margin [pairs], as `DPO` names them."""
    if kind == "ipo":
        return (margin - 1 / (2 * beta)).square()
    logit = beta * margin
    if kind == "hinge":
        return (1 - logit).clamp(min=0)
    right, wrong = -logsigmoid(logit), -logsigmoid(-logit)
    if kind == "robust":
        return ((1 - smoothing) * right - smoothing * wrong) / (1 - 2 * smoothing)
    return (1 - smoothing) * right + smoothing * wrong


def log_odds(logps: torch.Tensor) -> torch.Tensor:
    """log(p / (1 - p)) of log p, which is below 0: log(1 - p) without losing digits where p is near 0 or 1."""
    return logps - torch.log(-torch.expm1(logps.clamp(max=-1e-7)))
