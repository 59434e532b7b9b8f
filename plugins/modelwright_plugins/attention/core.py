"""What core attentions share, for Megatron's layers: softmax(QKᵀ/√d + bias)V over the heads that a rank holds.

It imports torch: name it inside a method of a component, or in a module of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.utils import is_layer_window_attention

from modelwright_plugins.engine import alibi, context


class CoreAttention(MegatronModule):
    """A core attention but for its arithmetic: `attend`.

    It takes queries [length, batch, heads, head_dim], keys [keys, batch, kv_heads, head_dim] and values [keys, batch, kv_heads,
    value_dim], where kv_heads divides heads (grouped-query attention, Ainslie et al. 2023), and gives [length, batch,
    heads * value_dim]. Under context parallelism queries, keys and values are this rank's parts of the sequence (see `engine.context`).
    """

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
        windowed = attention_type == "self" and is_layer_window_attention(config.window_size, config.window_attn_skip_freq, layer_number)
        self.window: tuple[int, int] | None = config.window_size if windowed else None
        self.slopes = alibi.own_slopes(config) if attention_type == "self" and getattr(config, "alibi", False) else None

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        attn_mask_type: AttnMaskType | None = None,
        attention_bias: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        """`attention_mask` [batch, length, 2]: which keys each query sees, from the first up to before the second (see
        `objective.visible`). None: those up to its own place if attention is causal, else all.
        `attention_bias`, which broadcasts to [batch, heads, length, keys], is added to the scores."""
        place = context.query_places(len(query), len(key), query.device)
        key, value = context.whole(key, value)
        q, k, v = (t.permute(1, 2, 0, 3) for t in (query, key, value))
        if self.slopes is not None:
            distances = alibi.biases(torch.tensor(self.slopes, device=q.device), place, len(key))
            attention_bias = distances if attention_bias is None else attention_bias + distances
        causal = self.causal and attention_mask is None
        if causal and (context.ranks() > 1 or self.window or attention_bias is not None):  # torch's causal kernels take none of these
            attention_mask = torch.stack([torch.zeros_like(place), place + 1], -1).unsqueeze(0)
        if self.window:
            attention_mask = narrowed(attention_mask, place, len(key), self.window, causal=self.causal)
        mask = None if attention_mask is None else intervals(attention_mask, len(key))
        if attention_bias is not None:
            mask = (attention_bias if mask is None else attention_bias.masked_fill(~mask, -torch.inf)).to(q.dtype)
        out = self.attend(q, k, v, mask, self.dropout if self.training else 0.0)
        return out.permute(2, 0, 1, 3).flatten(2)

    @abstractmethod
    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        """q [batch, heads, length, head_dim], k [batch, kv_heads, keys, head_dim], v [batch, kv_heads, keys, value_dim] -> [batch, heads,
        length, value_dim], with scores times `self.scale`, or 1 / √head_dim if that is None.

        `mask` broadcasts to [batch, heads, length, keys]: true where a key is seen, or, in q's type, what is added to the scores.
        None: all keys are seen, or those up to the query's place if `self.causal`. `dropout`: the chance that a weight is left out.
        """


def intervals(visible: torch.Tensor, keys: int) -> torch.Tensor:
    """[batch, length, 2] -> [batch, 1, length, keys]: true where the key is seen."""
    key = torch.arange(keys, device=visible.device)
    return ((key >= visible[:, :, :1]) & (key < visible[:, :, 1:])).unsqueeze(1)


def narrowed(visible: torch.Tensor | None, place: torch.Tensor, keys: int, window: tuple[int, int], *, causal: bool) -> torch.Tensor:
    """`visible` [batch, length, 2] (None: all `keys`) within a sliding window (Beltagy et al. 2020): `window` positions before and after
    the `place` [length] of each query, -1 for all of them. If attention is causal, what is seen ahead is not the window's to say."""
    left, right = window
    if visible is None:
        visible = torch.stack([torch.zeros_like(place), torch.full_like(place, keys)], -1).unsqueeze(0)
    first, last = visible.unbind(-1)
    first = first if left < 0 else first.clamp_min(place - left)
    last = last if right < 0 or causal else last.clamp_max(place + right + 1)
    return torch.stack([first, last], -1)
