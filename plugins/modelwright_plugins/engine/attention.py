"""torch's core attention, and the formula.

Megatron's own `DotProductAttention` builds the whole score matrix (see `benchmarks/attention.py`) and can't keep documents of one
sequence apart.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from modelwright_plugins.attention.core import CoreAttention


class SDPA(CoreAttention):
    """`torch.nn.functional.scaled_dot_product_attention`: the fastest kernel that torch has on the device."""

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        causal = self.causal and mask is None
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout_p=dropout, is_causal=causal, scale=self.scale, enable_gqa=k.shape[1] != q.shape[1]
        )


class Reference(SDPA):
    """The formula (Vaswani et al. 2017, equation 1) written out in FP32: slow, and what the fast ones are compared with."""

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        length, repeat = q.shape[2], q.shape[1] // k.shape[1]
        k, v = (t.repeat_interleave(repeat, 1) for t in (k, v))
        scores = q.float() @ k.float().transpose(2, 3) * (q.shape[3] ** -0.5 if self.scale is None else self.scale)
        if mask is None and self.causal:
            mask = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.float()
        return (F.dropout(scores.softmax(-1), dropout) @ v.float()).to(q.dtype)
