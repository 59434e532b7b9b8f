"""No adapter: all weights are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.adapter import Adapter

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class Whole(Adapter):
    """No adapter: all of the model's weights are trained."""

    adapts: ClassVar[bool] = False

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None: ...

    def merge(self, chunks: list[MegatronModule]) -> None: ...
