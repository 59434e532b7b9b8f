"""Attention in blocks of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.attention import Attention

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class BlockedAttention(Attention):
    """Attention computed block by block: scores of one block at a time are in memory."""

    block: int = 128  # queries at a time

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block is {self.block}; it is 1 or more")

    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        from modelwright_plugins.conformance.examples.attention._attention import Blocked

        return type("Blocked", (Blocked,), {"block": self.block})
