"""Megatron-Core's data, tensor, pipeline and sequence parallelism."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.parallel import Parallel

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Megatron(Parallel):
    """Data, tensor, pipeline and sequence parallelism of Megatron-Core, in any combination.

    Shoeybi et al. 2019 (arXiv:1909.08053), Narayanan et al. 2021 (arXiv:2104.04473), Korthikanti et al. 2022
    (arXiv:2205.05198).
    """

    data: int | None = None  # copies of the model, each with its share of the batch; None: as many as the ranks allow
    tensor: int = 1  # ranks that split each matrix
    pipeline: int = 1  # ranks that split the layers
    virtual: int | None = None  # groups of layers that each pipeline rank holds, interleaved: smaller bubbles, more messages
    sequence: bool = False  # tensor ranks also split the sequence between matrices; has no effect at tensor=1
    distributed_optimizer: bool = False  # data ranks share out the optimizer's state (ZeRO-1, Rajbhandari et al. 2020)
    recompute: bool = False  # keep only each layer's input and compute the layer again in the backward pass

    def __post_init__(self) -> None:
        for name in ("data", "tensor", "pipeline"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a number of ranks from 1 up")
        if self.virtual is not None and self.virtual < 2:
            raise ValueError(f"virtual is {self.virtual}; it is 2 or more, or null for none")

    def ranks(self, world: int | None) -> int:
        model = self.tensor * self.pipeline
        return model * (self.data if self.data is not None else max(1, (world or 1) // model))

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "tensor_model_parallel_size": self.tensor,
            "pipeline_model_parallel_size": self.pipeline,
            "virtual_pipeline_model_parallel_size": self.virtual,
            "sequence_parallel": self.sequence and self.tensor > 1,
            # interleaved pipelining between two ranks mixes up their messages, silently, unless these are set so
            "overlap_p2p_comm": self.virtual is not None,
            "batch_p2p_comm": self.virtual is None,
        }
        if self.recompute:
            settings |= {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1}
        return settings

    def problems(
        self, architecture: Architecture, *, global_batch: int, micro_batch: int, sequence_length: int, world: int | None
    ) -> list[str]:
        found: list[str] = []
        split = {
            "architecture.heads": architecture.heads,
            "architecture.kv_heads": architecture.kv_heads or architecture.heads,
            "architecture.feed_forward": getattr(architecture, "feed_forward_size", 0),
            "train.sequence_length": sequence_length if self.sequence else 0,
        }
        if whole := [f"{key}={value}" for key, value in split.items() if value % self.tensor]:
            best = _nearest_divisor(self.tensor, math.gcd(*split.values()))
            found.append(f"parallel.tensor={self.tensor} does not divide {', '.join(whole)}; nearest that divides all: {best}")
        if self.virtual is None and architecture.layers % self.pipeline:
            best = _nearest_divisor(self.pipeline, architecture.layers)
            found.append(
                f"parallel.pipeline={self.pipeline} does not divide architecture.layers={architecture.layers}; nearest that does: {best}"
            )
        elif self.virtual is not None and self.pipeline == 1:
            found.append(f"parallel.virtual={self.virtual} needs parallel.pipeline of 2 or more, which is 1")
        elif self.virtual is not None and architecture.layers % (chunks := self.pipeline * self.virtual):
            found.append(
                f"parallel.pipeline={self.pipeline} x parallel.virtual={self.virtual} does not divide "
                f"architecture.layers={architecture.layers}; "
                f"nearest that does: architecture.layers={_nearest_multiple(architecture.layers, chunks)}"
            )
        data = self.ranks(world) // (self.tensor * self.pipeline)
        share = data * micro_batch
        if global_batch % share:
            found.append(
                f"train.global_batch={global_batch} is not a multiple of train.micro_batch={micro_batch} x {data} data ranks; "
                f"{_smaller(micro_batch, global_batch, data, self.pipeline if self.virtual else 1)}"
            )
        elif self.virtual is not None and (count := global_batch // share) % self.pipeline:
            found.append(
                f"parallel.virtual={self.virtual} wants micro-batches in multiples of parallel.pipeline={self.pipeline}, "
                f"and there are {count}; {_smaller(micro_batch, global_batch, data, self.pipeline)}"
            )
        return found


def _smaller(micro: int, batch: int, data: int, multiple: int) -> str:
    """The change that leaves what is learned as it is, a smaller micro-batch, or else the nearest global batch."""
    for size in range(micro, 0, -1):
        if batch % (size * data * multiple) == 0:
            return f"nearest that works: train.micro_batch={size}"
    return f"nearest that works: train.global_batch={_nearest_multiple(batch, data * multiple)} with train.micro_batch=1"


def _nearest_divisor(value: int, total: int) -> int:
    return min((d for d in range(1, total + 1) if total % d == 0), key=lambda d: (abs(d - value), d))


def _nearest_multiple(value: int, of: int) -> int:
    return max(of, round(value / of) * of)
