"""What is done to logits before a token is chosen, apart from cutting their distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch


def biased(logits: torch.Tensor, bias: Mapping[int, float]) -> torch.Tensor:
    """`bias` is added to the logits of these tokens. Raises ValueError for a token that there is not."""
    if outside := [token for token in bias if not 0 <= token < logits.shape[-1]]:
        raise ValueError(f"logit_bias is of token {outside[0]}; the model has {logits.shape[-1]}")
    logits = logits.clone()
    logits[:, list(bias)] += torch.tensor(list(bias.values()), dtype=logits.dtype)
    return logits


def less_repeated(logits: torch.Tensor, texts: Sequence[Sequence[int]], penalty: float) -> torch.Tensor:
    """Logits of tokens that a text has are divided by `penalty` if they are positive, and multiplied by it if negative (CTRL, Keskar et
    al. 2019, arXiv:1909.05858, section 4.1; for negative ones Hugging Face's)."""
    logits = logits.clone()
    for row, text in zip(logits, texts, strict=True):
        had = torch.tensor(sorted(set(text)))
        row[had] = torch.where(row[had] < 0, row[had] * penalty, row[had] / penalty)
    return logits


def less_frequent(logits: torch.Tensor, replies: Sequence[Sequence[int]], presence: float, frequency: float) -> torch.Tensor:
    """From the logit of each token that the reply has: `presence`, and `frequency` as often as it has it (OpenAI's API reference)."""
    logits = logits.clone()
    for row, reply in zip(logits, replies, strict=True):
        counts = Counter(reply)
        had = torch.tensor(list(counts), dtype=torch.long)
        row[had] -= presence + frequency * torch.tensor(list(counts.values()), dtype=logits.dtype)
    return logits


def without_repeated_ngrams(logits: torch.Tensor, texts: Sequence[Sequence[int]], size: int) -> torch.Tensor:
    """No token that would give a text the same `size` tokens one after another for the second time (Paulus et al. 2017,
    arXiv:1705.04304, section 2.5)."""
    logits = logits.clone()
    for row, text in zip(logits, texts, strict=True):
        last = tuple(text[len(text) - size + 1 :]) if len(text) >= size - 1 else None
        again = [text[i + size - 1] for i in range(len(text) - size + 1) if tuple(text[i : i + size - 1]) == last]
        row[again] = -torch.inf
    return logits
