"""Low-rank adaptation of linear layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from modelwright.component import Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.adapter._read import contents

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule

FILES = ("adapter_config.json", "adapter_model.safetensors")  # of PEFT


@dataclass(frozen=True, kw_only=True)
class LoRA(Adapter):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): a linear layer W becomes W + (alpha / rank) B A, and only A and B are trained.

    A is drawn, B is 0: the model starts as it was. Of the fused layer of queries, keys and values they have one A. With `init_from` it
    starts as that adapter.
    """

    rank: int = 8  # columns of B and rows of A
    alpha: float = 16.0  # over the rank, the scale of the update
    dropout: float = 0.0  # of the update's inputs, while training
    rank_stabilized: bool = False  # scale by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023, arXiv:2312.03732), which suits high ranks
    targets: list[str] = field(default_factory=lambda: ["qkv", "proj", "fc1", "fc2"])  # Megatron's linear layers, without linear_
    init_from: Path | None = None  # a folder of Hugging Face's PEFT with the A and B to begin with; null: A is drawn, and B is 0

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

    @property
    def saved(self) -> Self:
        return replace(self, init_from=None)

    def fingerprint(self) -> str:
        """Which adapter it begins with."""
        return contents(self.init_from / name for name in FILES) if self.init_from else ""

    def problems(self, parts: Parts) -> list[str]:
        found = plain_layers(parts)
        for name in FILES:
            if self.init_from is not None and not (self.init_from / name).is_file():
                found.append(f"adapter.init_from: there is no {name} in {self.init_from}")
        return found

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        self._attach(chunks, seed, magnitude=False)

    def _attach(self, chunks: list[MegatronModule], seed: int, *, magnitude: bool) -> None:
        from modelwright_plugins.adapter._low_rank import LowRank, attach

        def make(linear: Any, gated: bool) -> tuple[Any, LowRank]:
            settings = {"rank": self.rank, "scale": self.scale, "dropout": self.dropout}
            return linear, LowRank(linear, lambda: linear.weight, **settings, magnitude=magnitude, gated=gated)  # type: ignore[arg-type]

        attach(chunks, self.targets, make, seed=seed)
        self._begin(chunks, dora=magnitude)

    def _begin(self, chunks: list[MegatronModule], *, dora: bool = False) -> None:
        """With what `init_from` holds."""
        if self.init_from is None:
            return
        from modelwright_plugins.adapter._peft import read, start_from
        from modelwright_plugins.architecture.hugging_face import of_module

        family, sizes = of_module(chunks[0])
        if family is None:
            raise ModelwrightError("adapter.init_from: Hugging Face's names for this architecture are not known (Llama's and GPT-2's are)")
        found = read(self.init_from, self.targets, family, sizes, rank=self.rank, scale=self.scale, dora=dora)
        start_from(chunks, found, self.init_from)

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
