"""A denoiser that fills in from left to right, as a beginning for one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_masked_diffusion.denoiser import MASK, Denoiser, Logits

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class LeftToRight(Denoiser):
    """From left to right, the likeliest token at each masked place."""

    steps: int = 4096  # at most so many times the model is asked, a text: from then on it fills in all that is left

    def denoise(self, model: Logits, canvas: torch.Tensor, *, seed: int) -> torch.Tensor:
        texts = canvas.clone()
        for step in range(1, self.steps + 1):
            masked = texts == MASK
            if not masked.any():
                break
            guesses = model(texts).argmax(-1).to(texts.device)
            chosen = masked if step == self.steps else masked & (masked.cumsum(1) == 1)
            texts[chosen] = guesses[chosen]
        return texts
