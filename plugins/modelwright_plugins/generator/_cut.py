"""Distributions of the next token, cut: each takes and gives probabilities [batch, vocab] that sum to 1."""

from __future__ import annotations

import torch


def nucleus(probabilities: torch.Tensor, mass: float) -> torch.Tensor:
    """The fewest likeliest tokens that have this mass or more (top-p, Holtzman et al. 2019, arXiv:1904.09751, section 3.1)."""
    falling, order = probabilities.sort(stable=True, dim=-1, descending=True)
    # the mass of the likelier ones; the likeliest itself always stays
    outside = falling.cumsum(-1) - falling >= mass
    return _left(probabilities, outside.scatter(-1, order, outside))


def at_least(probabilities: torch.Tensor, share: float) -> torch.Tensor:
    """Tokens at least this share as likely as the likeliest (min-p, Nguyen et al. 2024, arXiv:2407.01082)."""
    return _left(probabilities, probabilities < share * probabilities.amax(-1, keepdim=True))


def typical(probabilities: torch.Tensor, mass: float) -> torch.Tensor:
    """The fewest tokens of this mass or more whose surprise is nearest to the one that is expected, the entropy (locally typical
    sampling, Meister et al. 2022, arXiv:2202.00666, section 4)."""
    surprise = -probabilities.log()
    entropy = (probabilities * surprise).nansum(-1, keepdim=True)
    off = (surprise - entropy).abs()
    near, order = off.sort(-1)
    last = (probabilities.gather(-1, order).cumsum(-1) < mass).sum(-1, keepdim=True).clamp(max=off.shape[-1] - 1)
    outside = near > near.gather(-1, last)
    outside[..., :1] = False
    return _left(probabilities, outside.scatter(-1, order, outside))


def _left(probabilities: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    kept = probabilities.masked_fill(outside, 0)
    return kept / kept.sum(-1, keepdim=True)
