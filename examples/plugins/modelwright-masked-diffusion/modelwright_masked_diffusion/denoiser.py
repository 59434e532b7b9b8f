"""Denoisers: in which order masked tokens are filled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from modelwright.api import Component

if TYPE_CHECKING:
    import torch

MASK = -1
"""A masked token. It is no number of the tokenizer's: the architecture has an embedding of its own for it, whatever the vocabulary."""


class Logits(Protocol):
    """What a denoiser needs of a model, whatever engine runs it."""

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [batch, length, vocab] of the token at each position of `tokens`, int64 [batch, length] with MASK among them."""


class Denoiser(Component, ABC):
    """How masked tokens are filled in, step by step. It keeps no state, and the same seed gives the same tokens on every rank."""

    steps: int = 128  # at most so many times the model is asked, a text

    @abstractmethod
    def denoise(self, model: Logits, canvas: torch.Tensor, *, seed: int) -> torch.Tensor:
        """`canvas`, int64 [batch, length], with each MASK filled in and all else as it was; the argument is not changed.

        A row depends on the seed, its place in the batch and its own tokens: no other row changes what it becomes.
        """
