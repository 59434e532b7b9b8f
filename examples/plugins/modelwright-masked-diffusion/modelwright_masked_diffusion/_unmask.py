"""Filling in masked tokens, a few at each step."""

from __future__ import annotations

from collections.abc import Callable

import torch

from modelwright_masked_diffusion.denoiser import MASK, Logits

Score = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
"""(logits [places, vocab], guesses [places], numbers) -> [places]: the places with the highest are filled in first."""


def probability(logits: torch.Tensor, guesses: torch.Tensor, numbers: torch.Generator) -> torch.Tensor:
    """How sure the model is of each guess."""
    return logits.softmax(-1).gather(-1, guesses[:, None])[:, 0]


def chance(logits: torch.Tensor, guesses: torch.Tensor, numbers: torch.Generator) -> torch.Tensor:
    return torch.rand(len(guesses), generator=numbers, dtype=torch.float64)


def plan(masked: list[int], steps: int, block: int | None) -> list[tuple[list[int], int]]:
    """(places that may be filled in, how many of them are) for each step: as many in each, the first ones one more
    (LLaDA's linear schedule), and as many steps in each block. No more steps than there are masked places."""
    size = block or max(len(masked), 1)
    blocks = [masked[start : start + size] for start in range(0, len(masked), size)]
    found = []
    for places in blocks:
        each = max(steps // len(blocks), 1)
        counts = [len(places) // each + (step < len(places) % each) for step in range(each)]
        found += [(places, count) for count in counts if count]
    return found


def unmask(
    model: Logits, canvas: torch.Tensor, *, steps: int, temperature: float, block: int | None, seed: int, score: Score
) -> torch.Tensor:
    texts = canvas.clone()
    numbers = [torch.Generator().manual_seed(seed + row) for row in range(len(texts))]
    plans = [plan((row == MASK).nonzero()[:, 0].tolist(), steps, block) for row in texts]
    for step in range(max(map(len, plans), default=0)):
        going = [row for row in range(len(texts)) if step < len(plans[row])]
        logits = model(texts[going]).double().cpu()
        for row, found in zip(going, logits, strict=True):
            places, count = plans[row][step]
            masked = torch.tensor([place for place in places if texts[row, place] == MASK])
            guesses = drawn(found[masked], temperature, numbers[row])
            best = score(found[masked], guesses, numbers[row]).sort(descending=True, stable=True).indices[:count]
            texts[row, masked[best]] = guesses[best].to(texts.device)
    return texts


def drawn(logits: torch.Tensor, temperature: float, numbers: torch.Generator) -> torch.Tensor:
    """A token of each row [places, vocab]: the Gumbel-max trick, in FP64, as a rounded one draws too few rare tokens
    (Zheng et al. 2024, arXiv:2409.02908)."""
    if temperature == 0:
        return logits.argmax(-1)
    noise = -torch.empty_like(logits).exponential_(generator=numbers).log()
    return (logits / temperature + noise).argmax(-1)
