"""The module that Megatron's layers call for attention: imported by the method that names it."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig


class Blocked(MegatronModule):
    """softmax(QKᵀ/√d)V for the heads of this rank, with queries [length, batch, heads, head_dim] and keys and values
    [keys, batch, kv_heads, head_dim] -> [length, batch, heads * head_dim]."""

    def __init__(
        self,
        config: TransformerConfig,
        layer_number: int,
        attn_mask_type: AttnMaskType,
        attention_type: str,
        *,
        block: int,
        attention_dropout: float | None = None,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.causal, self.block = attn_mask_type == AttnMaskType.causal, block
        self.dropout = torch.nn.Dropout(config.attention_dropout if attention_dropout is None else attention_dropout)

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        """`attention_mask` [batch, length, 2]: which keys each query sees, from the first up to before the second."""
        repeat = query.shape[2] // key.shape[2]  # grouped queries share keys and values
        q, k, v = (t.permute(1, 2, 0, 3).float() for t in (query, key.repeat_interleave(repeat, 2), value.repeat_interleave(repeat, 2)))
        place = torch.arange(q.shape[2], device=q.device)
        if attention_mask is None:  # all up to itself, or all
            last = place + 1 if self.causal else torch.full_like(place, k.shape[2])
            attention_mask = torch.stack([torch.zeros_like(place), last], 1)[None]
        keys, found = torch.arange(k.shape[2], device=q.device), []
        for begin in range(0, q.shape[2], self.block):
            visible = attention_mask[:, None, begin : begin + self.block]
            scores = q[:, :, begin : begin + self.block] @ k.mT * q.shape[3] ** -0.5
            scores = scores.masked_fill((keys < visible[..., :1]) | (keys >= visible[..., 1:]), -torch.inf)
            found.append(self.dropout(scores.softmax(-1)) @ v)
        return torch.cat(found, 2).permute(2, 0, 1, 3).flatten(2).to(query.dtype)
