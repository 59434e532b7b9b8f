"""What a denoiser promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_masked_diffusion.denoiser import MASK

LENGTH, VOCABULARY = 12, 9


@dataclass(frozen=True, kw_only=True)
class Denoisers(Conformance):
    """A denoiser: every mask is filled in and nothing else, repeatably, each row on its own, with tokens that the model allows."""

    example = "modelwright_masked_diffusion.example"

    def check(self, component: Any, folder: Path) -> None:
        import torch

        asked: list[torch.Tensor] = []

        def model(tokens: torch.Tensor) -> torch.Tensor:
            """Token t is likely after token t - 1, and odd tokens never stand at even places."""
            asked.append(tokens.clone())
            before = torch.cat([torch.full_like(tokens[:, :1], MASK), tokens[:, :-1]], 1)
            logits = 2.0 * torch.nn.functional.one_hot((before + 1) % VOCABULARY, VOCABULARY)
            logits[:, ::2, 1::2] = -torch.inf
            return logits

        who = type(component).__name__
        canvas = torch.full((4, LENGTH), MASK)
        canvas[:, :2] = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 7]])
        canvas[1, 5:8] = torch.tensor([3, 4, 5])  # what stands in the middle stays, too
        canvas[3, 2:] = torch.arange(LENGTH - 2) % 5  # nothing to fill in
        before = canvas.clone()
        filled = component.denoise(model, canvas, seed=7)
        assert torch.equal(canvas, before), f"{who} changes the canvas that it is given"
        assert filled.shape == canvas.shape and filled.dtype == canvas.dtype, f"{who} gives {tuple(filled.shape)} of {filled.dtype}"
        assert not (filled == MASK).any(), f"{who} leaves {int((filled == MASK).sum())} tokens masked"
        given = canvas != MASK
        assert torch.equal(filled[given], canvas[given]), f"{who} changes tokens that are given"
        assert ((filled >= 0) & (filled < VOCABULARY)).all(), f"{who} writes tokens that are not of the vocabulary"
        assert not (filled[:, ::2] % 2 == 1)[~given[:, ::2]].any(), f"{who} writes tokens that have no probability"
        assert len(asked) <= max(component.steps, 1), f"{who} asks the model {len(asked)} times; steps is {component.steps}"
        assert torch.equal(filled, component.denoise(model, canvas, seed=7)), f"{who} gives another text with the same seed"
        alone = component.denoise(model, canvas[:2], seed=7)
        assert torch.equal(alone, filled[:2]), f"{who}: a row becomes another when other rows are left out"
        assert component.denoise(model, canvas[:0], seed=7).shape == (0, LENGTH), f"{who} fails with no rows"
