"""Two small matrices with an activation between them, beside or behind a layer's attention or feed-forward network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._frozen import New, draw, freeze

PLACES = {"attention": "self_attention", "feed_forward": "mlp"}
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


class Bottleneck(New):
    """`scale` up(activation(down(x))) of x [..., width]; every tensor rank has it whole."""

    split = {}  # noqa: RUF012

    def __init__(self, like: torch.Tensor, width: int, size: int, scale: float, activation: str, *, series: bool) -> None:
        super().__init__()
        self.down, self.down_bias = (torch.nn.Parameter(like.new_zeros(shape)) for shape in ((size, width), (size,)))
        self.up, self.up_bias = (torch.nn.Parameter(like.new_zeros(shape)) for shape in ((width, size), (width,)))
        self.scale, self.activation, self.series = scale, ACTIVATIONS[activation], series

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = self.activation(F.linear(x, self.down, self.down_bias))
        return self.scale * F.linear(low, self.up, self.up_bias)

    def hook(self, module: torch.nn.Module, inputs: Any, named: Any, output: Any) -> Any:
        """What the module gives with this: it gives (output, its bias, which is added later)."""
        out, bias = output
        given = inputs[0] if inputs else named["hidden_states"]
        behind = out if bias is None else out + bias
        return out + self(behind if self.series else given), bias


def attach(chunks: list[MegatronModule], places: list[str], *, size: int, scale: float, activation: str, series: bool, seed: int) -> None:
    """Put one into each place of each layer. `up` is 0, so that the model starts as it was; `down` is uniform in ±1/√width."""
    layers = 0
    for chunk in chunks:
        freeze(chunk)
        config, like = chunk.config, next(chunk.parameters())
        names = [PLACES[place] for place in places]
        found = [
            module for at, module in chunk.named_modules() if at.rpartition(".")[2] in names and next(module.parameters(), None) is not None
        ]
        for module in found:
            adapter = Bottleneck(like, config.hidden_size, size, scale, activation, series=series)
            adapter.mark(_tensor_group(), scattered=config.sequence_parallel and config.tensor_model_parallel_size > 1)
            module.add_module("adapter", adapter)
            module.register_forward_hook(adapter.hook, with_kwargs=True)
        layers += len(found)
    count = torch.tensor([layers], device=torch.cuda.current_device())
    dist.all_reduce(count)
    if not count.item():
        raise ModelwrightError(f"adapter.places={places}: the model has no such layers")

    def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        if not name.endswith(".adapter.down"):
            return None
        return (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(shape[1])

    draw(chunks, seed, drawn)


def _tensor_group() -> Any:
    from megatron.core import parallel_state

    return parallel_state.get_tensor_model_parallel_group()
