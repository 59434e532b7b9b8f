"""Prefix tuning: what attention sees before a text is trained, and the model is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.adapter.lora import plain_layers

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(Adapter):
    """Prefix tuning (Li & Liang 2021, arXiv:2101.00190): each layer's attention sees trained keys and values before its own.

    Every text sees them, also each of several that are packed into one sequence, and whatever a window hides. They have no place in the
    sequence: the text's own places begin at 0, and ALiBi takes nothing from their scores. What they add to attention is there from the
    beginning, so the model does not start as it was.

    With `hidden` they are made by a network while training (section 4.3 there, which has one for all layers; here each layer has its
    own, so that pipeline ranks share nothing).
    """

    merges: ClassVar[bool] = False
    exact_start: ClassVar[bool] = False

    length: int = 10  # trained keys and values a layer (section 7.2: 10 for table-to-text, 200 for summaries)
    hidden: int | None = 512  # width of the network that makes them (section 4.3: 512, 800 for summaries); null: keys and values themselves
    std: float = 0.02  # deviation of their first numbers, where no network makes them

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length is {self.length}; it is 1 or more")
        if self.hidden is not None and self.hidden < 1:
            raise ValueError(f"hidden is {self.hidden}; it is 1 or more, or null")
        if not self.std > 0:
            raise ValueError(f"std is {self.std}; it is above 0")

    def problems(self, parts: Parts) -> list[str]:
        return plain_layers(parts) + own_attention(parts)

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        from modelwright_plugins.adapter._prefix import attach

        attach(chunks, length=self.length, hidden=self.hidden, std=self.std, seed=seed)

    def merge(self, chunks: list[MegatronModule]) -> None:
        raise ModelwrightError("prefix tuning adds keys and values to attention, which no plain weights have; it can't be merged")


def own_attention(parts: Parts) -> list[str]:
    """What adapters that add to what attention sees ask of it."""
    from modelwright_plugins.attention.transformer_engine import TransformerEngine

    if isinstance(parts.get("attention"), TransformerEngine):
        return ["adapter adds keys and values to attention, which attention=transformer_engine does not take; attention=sdpa"]
    return []
