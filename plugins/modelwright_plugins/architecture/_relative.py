"""T5's relative positions: a learned number for each head and each bucket of distances, added to the scores."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.tensor_parallel import scatter_to_tensor_model_parallel_region
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.engine import context


class RelativeAttention(MegatronModule):
    """A core attention whose `attention_bias` is a table [buckets, heads] of all heads, which every layer of a stack shares.

    The bias [1, heads of this rank, length, keys] is looked up here, in each layer: a layer that is computed again going backward then
    does that too.
    """

    def __init__(self, *, own: type, both_ways: bool, distance: int, config: Any, **attention: Any) -> None:
        super().__init__(config=config)
        self.core = own(config=config, **attention)
        self.both_ways, self.distance = both_ways, distance

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, *, attention_bias: torch.Tensor, **how: Any
    ) -> torch.Tensor:
        table = scatter_to_tensor_model_parallel_region(attention_bias)
        keys = torch.arange(len(key) * context.ranks(), device=query.device)
        queries = keys if context.ranks() == 1 else context.places(len(query), query.device)
        which = bucket(keys - queries[:, None], both_ways=self.both_ways, buckets=len(table), distance=self.distance)
        bias = F.embedding(which, table).permute(2, 0, 1).unsqueeze(0)
        out: torch.Tensor = self.core(query, key, value, attention_mask, attention_bias=bias, **how)
        return out


def relative(own: type, *, both_ways: bool, distance: int) -> Any:
    """`own`, the kernel's core attention, with relative positions."""
    return functools.partial(RelativeAttention, own=own, both_ways=both_ways, distance=distance)


def bucket(ahead: torch.Tensor, *, both_ways: bool, buckets: int, distance: int) -> torch.Tensor:
    """Which bucket a key falls into that stands `ahead` positions after the query (Raffel et al. 2020, section 2.1).

    Half of the buckets are for single distances, the other half grow by a constant factor up to `distance`, beyond which all fall into
    the last. Both ways: half of all are for keys ahead. Else keys ahead count as distance 0: they are not seen.
    """
    base = torch.zeros_like(ahead)
    if both_ways:
        buckets //= 2
        base = (ahead > 0) * buckets
    back = ahead.abs() if both_ways else (-ahead).clamp(min=0)
    single = buckets // 2
    far = single + (torch.log(back.float().clamp(min=1) / single) / math.log(distance / single) * (buckets - single)).long()
    return base + torch.where(back < single, back, far.clamp(max=buckets - 1))
