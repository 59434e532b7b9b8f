"""How much better than expected a reply was, or a token of it."""

from __future__ import annotations

import torch

APART = 1e-4  # beside a deviation that may be 0, as in TRL


def grouped(rewards: torch.Tensor, samples: int, scale: str) -> torch.Tensor:
    """[rows] a reward less the mean of its prompt's replies, over their deviation (Shao et al. 2024, arXiv:2402.03300, section 4.1.2).
    `scale`: whose deviation: of the "group", of the "batch", or of "none" (Liu et al. 2025, arXiv:2503.20783: it favours prompts that
    are too hard or too easy)."""
    groups = rewards.view(-1, samples)
    found = groups - groups.mean(1, keepdim=True)
    if scale == "group":
        found = found / (groups.std(1, keepdim=True) + APART)
    elif scale == "batch":
        found = found / (rewards.std() + APART)
    return found.flatten()


def left_out(rewards: torch.Tensor, samples: int) -> torch.Tensor:
    """[rows] a reward less the mean of the other replies to its prompt (Ahmadian et al. 2024, arXiv:2402.14740, equation 8)."""
    groups = rewards.view(-1, samples)
    return (groups - (groups.sum(1, keepdim=True) - groups) / (samples - 1)).flatten()


def generalized(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, *, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(advantages, returns), each [rows, length]: generalized advantage estimation (Schulman et al. 2016, arXiv:1506.02438, equation 16).

    Where `mask` [rows, length] is 0 there is nothing, and what comes after a row's last token is worth 0."""
    found, after = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    following = torch.zeros_like(after)  # value of the token after this one
    for place in range(values.shape[1] - 1, -1, -1):
        here = mask[:, place]
        step = rewards[:, place] + gamma * following - values[:, place]
        after = torch.where(here > 0, step + gamma * lam * after, after)
        following = torch.where(here > 0, values[:, place], following)
        found[:, place] = after * here
    return found, (found + values) * mask


def whitened(values: torch.Tensor, mask: torch.Tensor, *, shift: bool) -> torch.Tensor:
    """Over those of `mask`: of variance 1, and with `shift` of mean 0; 0 elsewhere."""
    count = mask.sum()
    mean = (values * mask).sum() / count
    variance = ((values - mean).square() * mask).sum() / (count - 1).clamp(min=1)
    found = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (found if shift else found + mean) * mask
