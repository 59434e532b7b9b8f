"""The loss over the positions that have a target."""

from __future__ import annotations

import torch


def sum_over_targets(nats: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, count) of nats [batch, length] where labels [batch, length] are targets: 0 or more."""
    targets = labels >= 0
    return (nats.float() * targets).sum(), targets.sum().to(torch.int)
