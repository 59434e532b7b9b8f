"""Denoisers that keep what they filled in: LLaDA's, and a random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_masked_diffusion.denoiser import Denoiser, Logits

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class LowConfidence(Denoiser):
    """LLaDA's: the surest guesses stay, the others are masked again (Nie et al. 2025, arXiv:2502.09992, Algorithm 5)."""

    steps: int = 128  # at most so many times the model is asked, a text: fewer fill in more tokens at a time
    temperature: float = 0.0  # divides the logits that guesses are drawn from; 0: the likeliest
    block: int | None = None  # tokens: blocks of so many are filled in one after another, from the left; None: all at once

    def __post_init__(self) -> None:
        _check(self.steps, self.temperature, self.block)

    def denoise(self, model: Logits, canvas: torch.Tensor, *, seed: int) -> torch.Tensor:
        from modelwright_masked_diffusion._unmask import probability, unmask

        return unmask(model, canvas, steps=self.steps, temperature=self.temperature, block=self.block, seed=seed, score=probability)


@dataclass(frozen=True, kw_only=True)
class RandomOrder(Denoiser):
    """Masked tokens in a random order: the diffusion reversed (Sahoo et al. 2024, arXiv:2406.07524, section 3.2)."""

    steps: int = 1000  # at most so many times the model is asked, a text: fewer fill in more tokens at a time
    temperature: float = 1.0  # divides the logits that tokens are drawn from; 1: the model's own distribution
    block: int | None = None  # tokens: blocks of so many are filled in one after another, from the left; None: all at once

    def __post_init__(self) -> None:
        _check(self.steps, self.temperature, self.block)

    def denoise(self, model: Logits, canvas: torch.Tensor, *, seed: int) -> torch.Tensor:
        from modelwright_masked_diffusion._unmask import chance, unmask

        return unmask(model, canvas, steps=self.steps, temperature=self.temperature, block=self.block, seed=seed, score=chance)


def _check(steps: int, temperature: float, block: int | None) -> None:
    if steps < 1:
        raise ValueError(f"steps is {steps}; it is 1 or more")
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it is 0 (the likeliest) or more")
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; it is 1 or more, or null for no blocks")
