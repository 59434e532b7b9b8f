"""The module that Megatron's layers call for attention: imported by the method that names it."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig


class Blocked(MegatronModule):
    """softmax(QKᵀ/√d)V for the heads of this rank, with queries [length, batch, heads, head_dim] and keys and values
    [length, batch, kv_heads, head_dim] -> [length, batch, heads * head_dim]."""

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

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        repeat = query.shape[2] // key.shape[2]  # grouped queries share keys and values
        q, k, v = (t.permute(1, 2, 0, 3).float() for t in (query, key.repeat_interleave(repeat, 2), value.repeat_interleave(repeat, 2)))
        length, found = q.shape[2], []
        for begin in range(0, length, self.block):
            end = min(begin + self.block, length)
            seen = end if self.causal else length  # later keys are not even looked at
            scores = q[:, :, begin:end] @ k[:, :, :seen].mT * q.shape[3] ** -0.5
            if self.causal:
                later = torch.arange(seen, device=q.device) > torch.arange(begin, end, device=q.device)[:, None]
                scores = scores.masked_fill(later, -torch.inf)
            found.append(self.dropout(scores.softmax(-1)) @ v[:, :, :seen])
        return torch.cat(found, 2).permute(2, 0, 1, 3).flatten(2).to(query.dtype)
