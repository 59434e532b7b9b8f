"""Megatron-Core's data, tensor, pipeline, sequence, context and expert parallelism."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.parallel import Parallel
from modelwright_plugins.parallel.fit import misfits

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture

# Parts that keep much and cost little (Korthikanti et al. 2022, section 5): attention's scores, where torch has no fused kernel for
# them, and what norms give to the matrices after them.
SELECTED = ["core_attn", "layernorm"]


@dataclass(frozen=True, kw_only=True)
class Megatron(Parallel):
    """Data, tensor, pipeline, sequence, context and expert parallelism of Megatron-Core, in any combination.

    Shoeybi et al. 2019 (arXiv:1909.08053), Narayanan et al. 2021 (arXiv:2104.04473), Korthikanti et al. 2022
    (arXiv:2205.05198); experts as in Lepikhin et al. 2020 (arXiv:2006.16668); the sequence's order on context ranks as in
    Brandon et al. 2023 (arXiv:2311.09431).
    """

    data: int | None = None  # copies of the model, each with its share of the batch; None: as many as the ranks allow
    tensor: int = 1  # ranks that split each matrix
    pipeline: int = 1  # ranks that split the layers
    virtual: int | None = None  # groups of layers that each pipeline rank holds, interleaved: smaller bubbles, more messages
    first_stage_layers: int | None = None  # layers on the first pipeline rank, which holds the embedding too; None: as many as the others
    last_stage_layers: int | None = None  # layers on the last pipeline rank, which computes the loss too; None: as many as the others
    sequence: bool = False  # tensor ranks also split the sequence between matrices; has no effect at tensor=1
    context: int = 1  # ranks that split each sequence, for attention too: what long sequences need
    expert: int = 1  # ranks that share out a layer's experts; they are ranks of data (and context), and make no more
    expert_tensor: int | None = None  # ranks that split each expert's matrices; None: as tensor
    distributed_optimizer: bool = False  # data ranks share out the optimizer's state (ZeRO-1, Rajbhandari et al. 2020)
    fully_sharded: bool = False  # data ranks share out weights and gradients too (ZeRO-3; torch's FSDP2, Zhao et al. 2023)
    recompute: Literal["none", "selective", "full"] = "none"  # computed again going backward: norms and attention, or whole layers

    def __post_init__(self) -> None:
        for name in ("data", "tensor", "pipeline", "context", "expert", "expert_tensor"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a number of ranks from 1 up")
        if self.virtual is not None and self.virtual < 2:
            raise ValueError(f"virtual is {self.virtual}; it is 2 or more, or null for none")
        for name in ("first_stage_layers", "last_stage_layers"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more, or null for as many as the others")
        if self.recompute not in ("none", "selective", "full"):
            hints: dict[Any, str] = {True: " (full is what true was)", False: " (none is what false was)"}
            raise ValueError(f"recompute is {self.recompute}; it is none, selective or full{hints.get(self.recompute, '')}")
        if self.fully_sharded and self.distributed_optimizer:
            raise ValueError("fully_sharded is true and distributed_optimizer too; fully_sharded shares out the optimizer's state already")

    @property
    def copy_ranks(self) -> int:
        """Ranks that hold one copy of the model together, and each of its sequences."""
        return self.tensor * self.pipeline * self.context

    def ranks(self, world: int | None) -> int:
        return self.copy_ranks * (self.data if self.data is not None else max(self._fewest_data, (world or 1) // self.copy_ranks))

    @property
    def _fewest_data(self) -> int:
        """The fewest data ranks that make room for the expert ranks: each pipeline rank's experts are on ranks of its own."""
        return math.lcm(here := self.tensor * self.context, self.expert * (self.expert_tensor or self.tensor)) // here

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "tensor_model_parallel_size": self.tensor,
            "pipeline_model_parallel_size": self.pipeline,
            "virtual_pipeline_model_parallel_size": self.virtual,
            "num_layers_in_first_pipeline_stage": self.first_stage_layers,
            "num_layers_in_last_pipeline_stage": self.last_stage_layers,
            "context_parallel_size": self.context,
            "expert_model_parallel_size": self.expert,
            "expert_tensor_parallel_size": self.expert_tensor or self.tensor,
            "sequence_parallel": self.sequence and self.tensor > 1,
            # interleaved pipelining between two ranks mixes up their messages, silently, unless these are set so (Megatron 0.16.1)
            "overlap_p2p_comm": self.virtual is not None,
            "batch_p2p_comm": self.virtual is None,
        }
        if self.recompute == "full":
            settings |= {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1}
        elif self.recompute == "selective":
            settings |= {"recompute_granularity": "selective", "recompute_modules": list(SELECTED)}
        return settings

    def problems(
        self, architecture: Architecture, *, global_batch: int, micro_batch: int, sequence_length: int, world: int | None
    ) -> list[str]:
        data = self.ranks(world) // self.copy_ranks
        return misfits(self, architecture, data=data, global_batch=global_batch, micro_batch=micro_batch, sequence_length=sequence_length)
