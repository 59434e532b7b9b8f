"""Low-rank adaptation of linear layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelwright.component import Parts
from modelwright_plugins.adapter import Adapter

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class LoRA(Adapter):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): a linear layer W becomes W + (alpha / rank) B A, and only A and B are trained.

    A is drawn, B is 0: the model starts as it was. Of the fused layer of queries, keys and values they have one A.
    """

    rank: int = 8  # columns of B and rows of A
    alpha: float = 16.0  # over the rank, the scale of the update
    dropout: float = 0.0  # of the update's inputs, while training
    rank_stabilized: bool = False  # scale by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023, arXiv:2312.03732), which suits high ranks
    targets: list[str] = field(default_factory=lambda: ["qkv", "proj", "fc1", "fc2"])  # Megatron's linear layers, without linear_

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; it is 1 or more")
        if not self.alpha > 0:
            raise ValueError(f"alpha is {self.alpha}; it is above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is from 0 to below 1")
        if not self.targets:
            raise ValueError("targets is []; it names at least one layer, such as qkv")

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    def problems(self, parts: Parts) -> list[str]:
        return plain_layers(parts)

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        self._attach(chunks, seed, magnitude=False)

    def _attach(self, chunks: list[MegatronModule], seed: int, *, magnitude: bool) -> None:
        from modelwright_plugins.adapter._low_rank import LowRank, attach

        def make(linear: Any, gated: bool) -> tuple[Any, LowRank]:
            settings = {"rank": self.rank, "scale": self.scale, "dropout": self.dropout}
            return linear, LowRank(linear, lambda: linear.weight, **settings, magnitude=magnitude, gated=gated)  # type: ignore[arg-type]

        attach(chunks, self.targets, make, seed=seed)

    def merge(self, chunks: list[MegatronModule]) -> None:
        from modelwright_plugins.adapter._low_rank import merge

        merge(chunks, lambda linear: linear)


def plain_layers(parts: Parts) -> list[str]:
    """What adapters of Megatron's own linear layers ask of the other components."""
    from modelwright_plugins.kernel.transformer_engine import TransformerEngine

    found = []
    if isinstance(parts.get("kernel"), TransformerEngine):
        found.append("adapter is put round Megatron's own linear layers, and kernel=transformer_engine has others; kernel=torch")
    if "parallel" in parts and parts["parallel"].fully_sharded:
        found.append("adapter freezes most weights, which parallel.fully_sharded=true wants to train; parallel.distributed_optimizer=true")
    return found
