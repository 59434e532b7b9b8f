"""Low-rank adaptation of a model in four bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.adapter.lora import LoRA

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class QLoRA(LoRA):
    """QLoRA (Dettmers et al. 2023, arXiv:2305.14314): LoRA of linear layers whose frozen weights are kept in 4.13 bits (NF4).

    Weights are made again from their 4 bits in each pass. The model starts as the one so quantised, and `merge` gives that one's
    weights with what was learned.
    """

    exact_start: ClassVar[bool] = False

    block: int = 64  # weights of a row that share a scale

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 2 or self.block % 2:
            raise ValueError(f"block is {self.block}; it is even, and 2 or more")

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        from modelwright_plugins.adapter._low_rank import LowRank, attach
        from modelwright_plugins.adapter._nf4 import NF4Linear

        def make(linear: Any, gated: bool) -> tuple[Any, LowRank]:
            base = NF4Linear(linear, gated, self.block)
            settings: dict[str, Any] = {"rank": self.rank, "scale": self.scale, "dropout": self.dropout}
            return base, LowRank(linear, base.packed.weight, **settings, magnitude=False, gated=gated)

        attach(chunks, self.targets, make, seed=seed)
        self._begin(chunks)

    def merge(self, chunks: list[MegatronModule]) -> None:
        from modelwright_plugins.adapter._low_rank import merge

        merge(chunks, lambda base: base.plain())
