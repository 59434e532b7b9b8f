"""Sampling cut where the likeliest token says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.generator.sampling import Sampling

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class MinP(Sampling):
    """Draws from the tokens that are at least a share as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)."""

    temperature: float = 1.0  # divides the logits; 0 takes the likeliest token each time (greedy)
    top_p: float = 1.0  # keep the fewest likeliest tokens whose probability sums to this or more; 1 keeps all
    min_p: float = 0.1  # keep the tokens whose probability is at least this share of the likeliest one's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p: expected a share from 0 to 1, found {self.min_p}")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The distribution [batch, vocab] that tokens are drawn from, given `logits` [batch, vocab]."""
        found = super().probabilities(logits)
        kept = found * (found >= self.min_p * found.amax(-1, keepdim=True))
        return kept / kept.sum(-1, keepdim=True)
