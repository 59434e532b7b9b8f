"""Megatron-Core's layouts, with part of the layers computed twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelwright_plugins.parallel.megatron import Megatron


@dataclass(frozen=True, kw_only=True)
class PartlyRecomputed(Megatron):
    """Megatron-Core's parallelism, with memory traded for time layer by layer (Korthikanti et al. 2022, arXiv:2205.05198)."""

    recompute_layers: int = 1  # of each pipeline stage: the first so many keep only their input, and are computed again going backward

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recompute_layers < 0:
            raise ValueError(f"recompute_layers is {self.recompute_layers}; it is 0 or more")
        if self.recompute != "none":
            raise ValueError(f"recompute is {self.recompute}; leave it none, and set recompute_layers")

    def settings(self) -> dict[str, Any]:
        if not self.recompute_layers:
            return super().settings()
        part = {"recompute_granularity": "full", "recompute_method": "block", "recompute_num_layers": self.recompute_layers}
        return super().settings() | part
