"""What positions see, as Transformer Engine's attention is told it. Nothing here imports Transformer Engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from megatron.core.packed_seq_params import PackedSeqParams
from megatron.core.transformer.enums import AttnMaskType
from torch.utils.weak import WeakIdKeyDictionary

from modelwright.errors import ModelwrightError
from modelwright_plugins.attention.core import intervals, narrowed
from modelwright_plugins.engine import alibi, context


@dataclass(frozen=True)
class Documents:
    """Documents one after another, over all rows of a batch."""

    starts: torch.Tensor  # int32 [documents + 1]: the place of each one's first token, and after the last one's last
    longest: int  # tokens


def documents(visible: torch.Tensor, *, causal: bool) -> Documents | None:
    """The documents that `visible` [batch, length, 2] keeps apart, if that is all it says: each position sees its own document, whole, or
    up to itself if `causal`. None: it says something else."""
    batch, length, _ = visible.shape
    place = torch.arange(length, device=visible.device)
    first, last = visible[..., 0], visible[..., 1]
    begins = first == place  # the first position of each document
    own = torch.where(begins, place, 0).cummax(1).values
    following = torch.where(begins, place, length).flip(1).cummin(1).values.flip(1)  # the next begin, or this one's where one begins here
    ends = torch.cat([following[:, 1:], torch.full_like(following[:, :1], length)], 1)
    apart = begins[:, 0].all() & (first == own).all() & (last == (place + 1 if causal else ends)).all()
    if not apart:
        return None
    starts = torch.cat([begins.flatten().nonzero()[:, 0], torch.tensor([batch * length], device=visible.device)])
    return Documents(starts.to(torch.int32), int(starts.diff().max()))


class DocumentsApart(torch.nn.Module):
    """Before Megatron's `TEDotProductAttention` among a class's bases: it is given our `attention_mask` and told what it understands.

    Documents that are kept apart are packed without padding ('thd': tokens of all rows one after another, and where each document
    starts), for which there are fused kernels. Whatever else is seen is a mask of every query and key ('arbitrary'), slowly.
    """

    _known: WeakIdKeyDictionary = WeakIdKeyDictionary()  # of the masks that are alive: every layer is given the same one

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attn_mask_type: AttnMaskType,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: Any = None,
        **others: Any,
    ) -> torch.Tensor:
        """As `CoreAttention.forward`. Raises ModelwrightError where documents are apart and context ranks split the sequence."""
        config: Any = self.config
        inner: Any = super().forward
        causal = attn_mask_type == AttnMaskType.causal
        if getattr(config, "alibi", False):
            slope = torch.tensor(alibi.own_slopes(config), device=query.device)
            distances = alibi.biases(slope, context.query_places(len(query), len(key), query.device), len(key) * context.ranks())
            attention_bias = distances if attention_bias is None else attention_bias + distances
        if attention_bias is not None:
            attention_bias = attention_bias.to(query.dtype)
        if attention_mask is None:
            kind = AttnMaskType.causal if causal else AttnMaskType.no_mask
            return inner(query, key, value, None, kind, attention_bias, packed_seq_params, **others)
        if context.ranks() > 1:
            raise ModelwrightError(
                "attention=transformer_engine can't keep parts of a sequence apart that context ranks split; attention=sdpa can"
            )
        itself = attn_mask_type in (AttnMaskType.causal, AttnMaskType.no_mask)  # queries and keys are of the same sequence
        apart = self._documents(attention_mask, causal) if itself and attention_bias is None else None
        if apart is not None:
            length, batch = query.shape[:2]
            packed = PackedSeqParams("thd", apart.starts, apart.starts, max_seqlen_q=apart.longest, max_seqlen_kv=apart.longest)
            rows = (t.transpose(0, 1).flatten(0, 1) for t in (query, key, value))
            out = inner(*rows, None, attn_mask_type, None, packed, **others)
            return out.reshape(batch, length, -1).transpose(0, 1).contiguous()
        if itself and config.window_size:
            place = context.query_places(len(query), len(key), query.device)
            attention_mask = narrowed(attention_mask, place, len(key), config.window_size, causal=causal)
        unseen = ~intervals(attention_mask, len(key))
        return inner(query, key, value, unseen, AttnMaskType.arbitrary, attention_bias, None, **others)

    def _documents(self, visible: torch.Tensor, causal: bool) -> Documents | None:
        known = self._known.setdefault(visible, {})
        if causal not in known:
            known[causal] = documents(visible, causal=causal)
        found: Documents | None = known[causal]
        return found
