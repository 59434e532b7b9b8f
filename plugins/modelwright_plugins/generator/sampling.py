"""Sampling: temperature, top-k and nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.generator import Generator, NextLogits

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sampling(Generator):
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

    def generate(self, model: NextLogits, prompts: Sequence[Sequence[int]], *, end: int, context: int, seed: int) -> list[list[int]]:
        import torch

        texts = [list(prompt) for prompt in prompts]
        # Numbers of its own for each prompt: adding one does not change what the others become.
        numbers = [torch.Generator().manual_seed(seed + index) for index in range(len(texts))]
        going = list(range(len(texts)))
        for _ in range(self.max_new_tokens):
            if not going:
                break
            seen = [texts[index][-context:] for index in going]
            length = max(map(len, seen))
            tokens = torch.tensor([text + [end] * (length - len(text)) for text in seen])  # padding on the right: nothing sees it
            chances = self.probabilities(model(tokens, torch.tensor([len(text) - 1 for text in seen])).cpu())
            drawn = [int(torch.multinomial(row, 1, generator=numbers[index])) for index, row in zip(going, chances, strict=True)]
            for index, token in zip(going, drawn, strict=True):
                texts[index].append(token)
            going = [index for index, token in zip(going, drawn, strict=True) if token != end]
        finished = set(range(len(texts))) - set(going)
        return [
            text[len(prompt) : -1 if index in finished else None] for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
        ]
