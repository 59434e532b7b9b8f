"""Generators: how text is drawn from a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from modelwright.component import Component

if TYPE_CHECKING:
    import torch


class NextLogits(Protocol):
    """What a generator needs of a model, whatever engine runs it."""

    def __call__(self, tokens: torch.Tensor, at: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [batch, vocab] of the token after position `at` [batch] (none: the last) of `tokens` [batch, length]."""


class Generator(Component, ABC):
    """How text is drawn from a model. It keeps no state, and the same seed gives the same tokens on every rank."""

    max_new_tokens: int = 96  # tokens at most, a prompt

    @abstractmethod
    def generate(self, model: NextLogits, prompts: Sequence[Sequence[int]], *, end: int, context: int, seed: int) -> list[list[int]]:
        """The continuation of each prompt (token ids, at least one), without it and without the `end` token that stopped it.

        `context` is how many tokens the model can see; a longer text is seen through its last `context` tokens.
        """
