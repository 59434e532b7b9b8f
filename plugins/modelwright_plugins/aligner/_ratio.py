"""Of tokens that the model has drawn: how much likelier they have become, and how far it is from where it began."""

from __future__ import annotations

import torch

from modelwright_plugins.aligner._rows import summed

Inputs = dict[str, torch.Tensor]


def log_ratio(output: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """[rows, length] of each token's probability to that under the weights that drew it, 0 where there is no target."""
    old = inputs["loss_old"] if "loss_old" in inputs else -output.detach().float()
    return (-output.float() - old) * inputs["loss_mask"]


def clipped(ratio: torch.Tensor, advantages: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Schulman et al. 2017 (arXiv:1707.06347), equation 7, with a minus: to be made small."""
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def outside(ratio: torch.Tensor, advantages: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Where the bound holds and there is no gradient: 1, elsewhere 0."""
    return (((ratio < 1 - low) & (advantages < 0)) | ((ratio > 1 + high) & (advantages > 0))).float()


def divergence(output: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """[rows, length] of each token from the first weights, nats: Schulman's k3, which is unbiased and never below 0."""
    apart = (inputs["loss_first"] + output.float()) * inputs["loss_mask"]
    return torch.exp(apart) - apart - 1


def a_row(each: torch.Tensor, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """(the sum over a row's targets, how many), both [rows], of whole rows, also where context ranks have parts of them."""
    total, count = summed(-each, inputs)
    return total, count


def measured(output: torch.Tensor, inputs: Inputs) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(sum, count) of what losses of drawn tokens can tell: the entropy a token, which is that of the weights that are trained, as ratios
    make good that others drew the tokens; the divergence a token from the first weights; and that a reply when it was drawn."""
    mask = inputs["loss_mask"]
    found = {"entropy": ((log_ratio(output, inputs).exp() * output.float() * mask).sum(), mask.sum())}
    if "loss_first" in inputs:
        found["kl"] = (divergence(output, inputs).sum(), mask.sum())
    if (replies := inputs.get("loss_kl_reply")) is not None:
        found["kl_reply"] = (replies.sum(), torch.tensor(len(replies), device=replies.device))
    return found
