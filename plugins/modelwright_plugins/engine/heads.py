"""Heads beside or in the place of a model's output matrix: a number at each position, as reward models and PPO's value functions give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import torch
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.adapter._frozen import New
from modelwright_plugins.engine.card import Head


class ValueHead(New):
    """Hidden states [length, rows, hidden] -> values FP32 [rows, length]: a weight [1, hidden] and an offset, which begin at 0.

    Every tensor rank has all of both. Under sequence parallelism each computes its part of the sequence, and the values are gathered; as
    each rank goes on with all of them, its part's gradient is its own.
    """

    split: Mapping[str, int] = MappingProxyType({})

    def __init__(self, chunk: MegatronModule) -> None:
        super().__init__()
        like = next(chunk.parameters())
        self.weight = torch.nn.Parameter(like.new_zeros(1, chunk.config.hidden_size))
        self.offset = torch.nn.Parameter(like.new_zeros(1))  # no ".bias": adapters draw those
        self.weight.is_embedding_or_output_parameter = True  # type: ignore[attr-defined]  # no matrix to optimizers of matrices
        self.scattered = chunk.config.sequence_parallel
        self.mark(parallel_state.get_tensor_model_parallel_group(), scattered=self.scattered)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        values = F.linear(hidden.float(), self.weight.float(), self.offset.float())[..., 0]
        if self.scattered:
            values = gather_from_sequence_parallel_region(values, tensor_parallel_output_grad=False, group=self.tp_group)
        return values.transpose(0, 1).contiguous()


class Valued:
    """Goes before the class of a GPTModel: the last pipeline stage has a value head."""

    head: Head
    values: torch.Tensor | None = None  # of the last forward pass with labels, where the head is beside the tokens'

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, attention_mask: Any = None, **named: Any) -> torch.Tensor:
        if self.head == "value":
            named["labels"] = input_ids  # any: without them what comes out would be taken for logits
        out: torch.Tensor = super().forward(input_ids, position_ids, attention_mask, **named)  # type: ignore[misc]
        return out

    def _postprocess(self, hidden_states: torch.Tensor, *arguments: Any, labels: torch.Tensor | None = None, **named: Any) -> torch.Tensor:
        me = cast(Any, self)
        if me.post_process and self.head == "value":
            found: torch.Tensor = me.value_head(hidden_states)
            return found
        if me.post_process and labels is not None:  # who generates, or reads logits, wants none
            self.values = me.value_head(hidden_states)
        out: torch.Tensor = super()._postprocess(hidden_states, *arguments, labels=labels, **named)  # type: ignore[misc]
        return out

    def sharded_state_dict(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        me = cast(Any, self)
        ends, me.post_process = me.post_process, me.post_process and me.output_layer is not None  # which Megatron 0.16.1 takes for granted
        try:
            found: dict[str, Any] = super().sharded_state_dict(*arguments, **named)  # type: ignore[misc]
        finally:
            me.post_process = ends
        return found


def attach(chunks: list[MegatronModule], head: Head) -> None:
    """Give modules this head, in place, if they have none. All ranks together: after the weights are loaded where these have none, and
    before an adapter is applied. With "value" the output matrix goes, unless it is the embedding's too."""
    if head == "tokens":
        return
    for chunk in chunks:
        if isinstance(chunk, Valued):
            continue
        chunk.__class__ = type(f"Valued{type(chunk).__name__}", (Valued, type(chunk)), {})
        valued = cast(Any, chunk)
        valued.head = head
        if valued.post_process:
            valued.value_head = ValueHead(chunk)
            if head == "value" and not (valued.share_embeddings_and_output_weights or chunk.config.mtp_num_layers):
                valued.output_layer = None


def train(chunks: list[MegatronModule]) -> None:
    """The heads, also beside an adapter, which freezes what was there before it."""
    for chunk in chunks:
        if isinstance(head := getattr(chunk, "value_head", None), ValueHead):
            head.requires_grad_(True)


def values(model: torch.nn.Module) -> torch.Tensor | None:
    """Values FP32 [rows, length] of the forward pass that `model`, wrapped or not, has just done with labels, with their gradient; None: it
    has no head beside the tokens', or isn't a last pipeline stage. They are given once."""
    while not isinstance(model, Valued) and isinstance(inner := getattr(model, "module", None), torch.nn.Module):
        model = inner
    found: torch.Tensor | None = None
    if isinstance(model, Valued):
        found, model.values = model.values, None
    return found
