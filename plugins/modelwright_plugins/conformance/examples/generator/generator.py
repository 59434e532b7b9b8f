"""Sampling cut where a token is too rare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.generator.sampling import Sampling

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Epsilon(Sampling):
    """Draws from the tokens that are at least so likely (Hewitt et al. 2022, arXiv:2210.15191, section 4)."""

    temperature: float = 1.0  # divides the logits; 0 takes the likeliest token each time (greedy)
    top_p: float = 1.0  # keep the fewest likeliest tokens whose probability sums to this or more; 1 keeps all
    epsilon: float = 0.0009  # keep tokens of at least this probability, and the likeliest

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon: expected a probability from 0 to 1, found {self.epsilon}")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The distribution [batch, vocab] that tokens are drawn from, given `logits` [batch, vocab]."""
        found = super().probabilities(logits)
        kept = found * ((found >= self.epsilon) | (found == found.amax(-1, keepdim=True)))
        return kept / kept.sum(-1, keepdim=True)
