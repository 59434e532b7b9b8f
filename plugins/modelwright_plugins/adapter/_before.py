"""Keys and values that every position of every text sees before its own: what prefix and prompt tuning add to attention.

A sequence may be packed of several texts that don't see each other, and rotary embeddings turn a query by its place in the sequence. What
comes before is as far from each text's beginning as from the first one's: its scores are of queries turned back by where their text begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from megatron.core.models.common.embeddings.rope_utils import _apply_rotary_pos_emb_bshd
from megatron.core.transformer.attention import SelfAttention
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.attention.core import CoreAttention
from modelwright_plugins.engine import context


class Before:
    """Goes before the class of a `CoreAttention`."""

    keys: torch.Tensor  # [1 or rows, kv_heads, before, head_dim], and the values, of this forward pass
    values: torch.Tensor
    texts_begin: torch.Tensor | None  # [1 or rows, length]: where each query's text begins in its sequence
    distances: torch.Tensor | None = None  # what is added to the scores of what comes before, [1 or rows, heads, length, before]
    turns: torch.Tensor | None = None  # of rotary embeddings: radians [length, 1 or rows, 1, dimensions]
    rotary: tuple[torch.nn.Module | None]  # what makes them; in a tuple, as it is not this module's own
    interleaved = False
    ahead = 0  # places in `turns` that are before the sequence's first

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any = None, *a: Any, **k: Any) -> Any:
        self.texts_begin = None if attention_mask is None else attention_mask[..., 0]
        return super().forward(query, key, value, attention_mask, *a, **k)  # type: ignore[misc]

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        rows, (length, count), plain = len(q), (q.shape[2], k.shape[2]), super().attend  # type: ignore[misc]
        keys, values = (each.to(k.dtype).expand(rows, -1, -1, -1) for each in (self.keys, self.values))
        if mask is None and self.causal:  # type: ignore[attr-defined]
            mask = torch.ones(length, count, dtype=torch.bool, device=q.device).tril(count - length)[None, None]
        if mask is not None:
            if self.distances is not None:
                seen = self.distances.to(mask.dtype).expand(*mask.shape[:2], -1, -1)
            else:
                seen = mask.new_full((*mask.shape[:3], keys.shape[2]), mask.dtype == torch.bool)
            mask = torch.cat([seen, mask], -1)
        back = self._turned_back(q)
        if back is None:
            k = torch.cat([keys, k], 2)
        else:  # two dot products in one: of q with what is in the text, and of q turned back with what comes before it
            q = torch.cat([q, back], -1)
            k = torch.cat([torch.cat([torch.zeros_like(keys), keys], -1), torch.cat([k, torch.zeros_like(k)], -1)], 2)
        out: torch.Tensor = plain(q, k, torch.cat([values, v], 2), mask, dropout)
        return out

    def _turned_back(self, q: torch.Tensor) -> torch.Tensor | None:
        """q [rows, heads, length, head_dim] as at the places in their own texts. None: it is the same."""
        begin, table = self.texts_begin, self.turns
        if begin is None or table is None or "forward" in vars(self.rotary[0]) or not bool(begin.any()):
            return None  # who says the places of each row (`engine.kv_cache.Places`) has each begin at 0
        last = self.ahead + int(context.places(len(table) - self.ahead)[-1])
        angles = -begin[:, None, :, None] * (table[-1, 0, 0] / last)
        found: torch.Tensor = _apply_rotary_pos_emb_bshd(q, angles, rotary_interleaved=self.interleaved)
        return found


def attentions(chunks: list[MegatronModule], whose: str) -> Iterator[tuple[MegatronModule, SelfAttention]]:
    """The attentions that can have keys before their own. ModelwrightError where one can't."""
    for chunk in chunks:
        for module in chunk.modules():
            if not hasattr(module, "core_attention"):
                continue
            if not isinstance(module, SelfAttention):
                raise ModelwrightError(f"{whose}: {type(module).__name__} has no keys and values of its own kind to put before its own")
            if not isinstance(module.core_attention, CoreAttention):
                raise ModelwrightError(f"{whose}: what comes before is for attention=sdpa or reference")
            if module.config.num_query_groups < module.config.tensor_model_parallel_size:
                groups = module.config.num_query_groups
                raise ModelwrightError(f"{whose}: the model's {groups} heads of keys are shared out over at most as many tensor ranks")
            yield chunk, module


def look_before(chunk: MegatronModule, attention: SelfAttention, kind: type[Before]) -> Any:
    """Give an attention the keys and values before its own of this kind; what it is told of rotary embeddings is kept for them."""
    core: Any = attention.core_attention
    core.scale = attention.hidden_size_per_attention_head**-0.5 if core.scale is None else core.scale  # whatever is put beside q
    core.__class__ = type(f"{kind.__name__}{type(core).__name__}", (kind, type(core)), {})
    core.interleaved, core.rotary = attention.config.rotary_interleaved, (getattr(chunk, "rotary_pos_emb", None),)

    def told(module: Any, given: Any, named: dict[str, Any]) -> None:
        turns = named.get("rotary_pos_emb")
        core.turns = turns[0] if isinstance(turns, tuple) else turns

    attention.register_forward_pre_hook(told, with_kwargs=True)
    return core
