"""Attentions: what computes softmax(QKᵀ)V in each layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


class Attention(Component, ABC):
    """What computes softmax(QKᵀ)V in each layer; checkpoints don't depend on it."""

    @abstractmethod
    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        """The class of the core attention that Megatron's layers are given, which they make with arguments of theirs: `core.CoreAttention`
        says which, and does all but the arithmetic. `own` is the one that comes with the kernel."""

    def problems(self) -> list[str]:
        """Why it can't run on this machine, one line each. Imports nothing heavy."""
        return []
