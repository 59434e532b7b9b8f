"""Trained keys and values before those of each layer's attention."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel.mappings import copy_to_tensor_model_parallel_region
from megatron.core.transformer.attention import SelfAttention
from megatron.core.transformer.module import MegatronModule
from torch.nn.functional import linear

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._before import Before, attentions, look_before
from modelwright_plugins.adapter._frozen import New, draw, freeze


class Prefix(New):
    """Keys and values [kv_heads of this rank, length, head_dim] of one layer.

    With `hidden` they are up(tanh(down(vectors))), where vectors are [length, width]: each rank has all but `up`'s rows.
    """

    def __init__(self, attention: SelfAttention, like: torch.Tensor, length: int, hidden: int | None) -> None:
        super().__init__()
        heads, size, width = (
            attention.num_query_groups_per_partition,
            attention.hidden_size_per_attention_head,
            attention.config.hidden_size,
        )
        self.shape, self.hidden = (heads, size, length), hidden
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("keys", "values"), (heads, length, size))
        if hidden is not None:
            shapes = {"vectors": (length, width), "down": (hidden, width), "down_offset": (hidden,)}
            for name in ("keys", "values"):
                shapes |= {f"up_{name}": (heads * size, hidden), f"up_{name}_offset": (heads * size,)}
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(like.new_zeros(shape)))
        self.split = {name: 0 for name in shapes if name in ("keys", "values") or name.startswith("up_")}
        for name in {*shapes} & {"keys", "values", "vectors"}:  # no matrices to optimizers of matrices
            self.get_parameter(name).is_embedding_or_output_parameter = True  # type: ignore[attr-defined]
        self.group = parallel_state.get_tensor_model_parallel_group()
        self.mark(self.group, scattered=False)  # each rank sees the whole sequence in attention

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, [1, kv_heads, length, head_dim] each."""
        if self.hidden is None:
            return self.get_parameter("keys").unsqueeze(0), self.get_parameter("values").unsqueeze(0)
        heads, size, length = self.shape
        low = torch.tanh(linear(self.get_parameter("vectors"), self.get_parameter("down"), self.get_parameter("down_offset")))
        low = copy_to_tensor_model_parallel_region(low, group=self.group)  # each rank's heads have a part of its gradient
        both = (linear(low, self.get_parameter(f"up_{name}"), self.get_parameter(f"up_{name}_offset")) for name in ("keys", "values"))
        keys, values = (each.view(length, heads, size).transpose(0, 1).unsqueeze(0) for each in both)
        return keys, values


class Prefixed(Before):
    """Goes before the class of a core attention: its prefix is made in each forward pass."""

    prefix: list[Prefix]  # in a list, as it is not this module's own

    def attend(self, *given: Any, **named: Any) -> torch.Tensor:
        self.keys, self.values = self.prefix[0]()
        return super().attend(*given, **named)


def attach(chunks: list[MegatronModule], *, length: int, hidden: int | None, std: float, seed: int) -> None:
    """Put one into each layer. Without `hidden` its numbers are normal; with it `vectors` are, and matrices uniform in ±1/√inputs."""
    layers = 0
    for chunk in chunks:
        freeze(chunk)
    for chunk, attention in list(attentions(chunks, "adapter=prefix_tuning")):
        attention.add_module("adapter", Prefix(attention, next(chunk.parameters()), length, hidden))
        look_before(chunk, attention, Prefixed).prefix = [attention.adapter]
        layers += 1
    count = torch.tensor([layers], device=torch.cuda.current_device())
    dist.all_reduce(count)
    if not count.item():
        raise ModelwrightError("adapter=prefix_tuning: the model has no attention to put keys and values into")

    def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        last = name.rpartition(".")[2]
        if ".adapter." not in name or last.endswith("_offset"):
            return None
        if last in ("keys", "values"):
            return torch.randn(shape, generator=generator) * std
        if last == "vectors":
            return torch.randn(shape, generator=generator)
        return (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(shape[1])

    draw(chunks, seed, drawn)
