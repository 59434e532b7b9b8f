"""Sampling: temperature, top-k and nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.generator import TokenByToken

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sampling(TokenByToken):
    """Draws each token from the model's distribution, cut by temperature, top-k and top-p.

    Top-k: Fan et al. 2018 (arXiv:1805.04833). Top-p, the nucleus: Holtzman et al. 2019 (arXiv:1904.09751). They apply in
    this order: temperature, top-k, top-p, as in Hugging Face's `generate`.
    """

    max_new_tokens: int = 96  # tokens at most, a prompt
    temperature: float = 0.8  # divides the logits; 0 takes the likeliest token each time (greedy)
    top_k: int | None = None  # keep the k likeliest tokens (and any equal to the k-th)
    top_p: float = 0.95  # keep the fewest likeliest tokens whose probability sums to this or more; 1 keeps all

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: expected at least 1, found {self.max_new_tokens}")
        if not self.temperature >= 0:
            raise ValueError(f"temperature: expected 0 (greedy) or more, found {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k: expected 1 or more, or null for no limit, found {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: expected more than 0 and at most 1, found {self.top_p}")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The distribution [batch, vocab] that tokens are drawn from, given `logits` [batch, vocab]."""
        import torch

        logits = logits.float()
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            logits = logits.masked_fill(logits < logits.topk(self.top_k).values[..., -1:], -torch.inf)
        probabilities = logits.softmax(-1)
        if self.top_p < 1:
            falling, order = probabilities.sort(stable=True, dim=-1, descending=True)
            # The mass of the likelier ones; the likeliest itself always stays.
            outside = falling.cumsum(-1) - falling >= self.top_p
            probabilities = probabilities.masked_fill(outside.scatter(-1, order, outside), 0)
            probabilities = probabilities / probabilities.sum(-1, keepdim=True)
        return probabilities

    def choose(
        self,
        logits: torch.Tensor,
        prompts: Sequence[Sequence[int]],
        replies: Sequence[Sequence[int]],
        numbers: Sequence[torch.Generator],
    ) -> list[int]:
        import torch

        if self.temperature == 0:
            return [int(token) for token in logits.argmax(-1)]
        chances = self.probabilities(logits)
        return [int(torch.multinomial(row, 1, generator=own)) for row, own in zip(chances, numbers, strict=True)]
