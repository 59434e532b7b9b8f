"""Core attentions for Megatron's layers: softmax(QKᵀ/√d)V over the heads that a rank holds.

Megatron's own `DotProductAttention` builds the whole score matrix (62 % slower on a CPU at length 1,024) and can't keep
documents of one sequence apart. Both take queries [length, batch, heads, head_dim] and keys and values [keys, batch, kv_heads,
head_dim], where kv_heads divides heads (grouped-query attention, Ainslie et al. 2023), and give [length, batch, heads * head_dim].
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_plugins.engine import alibi, context


class SDPA(MegatronModule):
    """`torch.nn.functional.scaled_dot_product_attention`: the fastest kernel that torch has on the device."""

    def __init__(
        self,
        config: TransformerConfig,
        layer_number: int,
        attn_mask_type: AttnMaskType,
        attention_type: str,
        attention_dropout: float | None = None,
        softmax_scale: float | None = None,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.causal = attn_mask_type == AttnMaskType.causal
        self.scale = softmax_scale
        self.dropout = config.attention_dropout if attention_dropout is None else attention_dropout
        self.window = config.window_size[0] + 1 if self.causal and config.window_size else None  # positions seen, with one's own
        self.slopes: list[float] | None = None  # of this rank's heads, for ALiBi
        if getattr(config, "alibi", False):
            mine = config.num_attention_heads // config.tensor_model_parallel_size
            first = mine * parallel_state.get_tensor_model_parallel_rank()
            self.slopes = alibi.slopes(config.num_attention_heads)[first : first + mine]

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        """`attention_mask` [batch, length, 2]: which keys each query sees, from the first up to before the second (see
        `objective.visible`). None: those up to its own place if attention is causal, else all."""
        if attention_mask is None and self.causal and (context.ranks() > 1 or self.window or self.slopes):
            attention_mask = context.causal(query.shape[0], query.shape[1], query.device)
        if attention_mask is not None and self.window:
            start = context.places(len(query), query.device) + 1 - self.window
            attention_mask = torch.stack([attention_mask[..., 0].clamp_min(start), attention_mask[..., 1]], -1)
        key, value = context.whole(key, value)
        q, k, v = (t.permute(1, 2, 0, 3) for t in (query, key, value))
        mask = None if attention_mask is None else intervals(attention_mask, k.shape[2])
        if self.slopes is not None:
            slope = torch.tensor(self.slopes, device=q.device)
            bias = alibi.biases(slope, context.places(len(query), query.device), k.shape[2]).to(q.dtype)
            mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
        out = self.attend(q, k, v, mask, self.dropout if self.training else 0.0)
        return out.permute(2, 0, 1, 3).flatten(2)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        """[batch, heads, length, head_dim] -> the same; `mask` [batch, 1, length, keys] is true where a key is seen, or
        [batch, heads, length, keys] what is added to scores."""
        causal = self.causal and mask is None
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout_p=dropout, is_causal=causal, scale=self.scale, enable_gqa=k.shape[1] != q.shape[1]
        )


class Reference(SDPA):
    """The formula (Vaswani et al. 2017, equation 1) written out in FP32: slow, and what the fast ones are compared with."""

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        length, repeat = q.shape[2], q.shape[1] // k.shape[1]
        k, v = (t.repeat_interleave(repeat, 1) for t in (k, v))
        scores = q.float() @ k.float().transpose(2, 3) * (self.scale or q.shape[3] ** -0.5)
        if mask is None and self.causal:
            mask = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.float()
        return (F.dropout(scores.softmax(-1), dropout) @ v.float()).to(q.dtype)


def intervals(visible: torch.Tensor, keys: int) -> torch.Tensor:
    """[batch, length, 2] -> [batch, 1, length, keys]: true where the key is seen."""
    key = torch.arange(keys, device=visible.device)
    return ((key >= visible[:, :, :1]) & (key < visible[:, :, 1:])).unsqueeze(1)
