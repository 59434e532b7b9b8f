"""The module that Megatron's layers call for attention: imported by the method that names it."""

from __future__ import annotations

import torch

from modelwright_plugins.attention.core import CoreAttention


class Blocked(CoreAttention):
    """softmax(QKᵀ/√d + bias)V, with the scores of `block` queries at a time."""

    block: int

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> torch.Tensor:
        repeat = q.shape[1] // k.shape[1]  # grouped queries share keys and values
        wide, keys, values = q.float(), k.repeat_interleave(repeat, 1).float(), v.repeat_interleave(repeat, 1).float()
        if mask is None:  # all up to itself, or all
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
            mask = (mask.tril() if self.causal else mask)[None, None]
        scale, found = q.shape[3] ** -0.5 if self.scale is None else self.scale, []
        for begin in range(0, q.shape[2], self.block):
            rows = slice(begin, begin + self.block)
            scores, seen = wide[:, :, rows] @ keys.mT * scale, mask[:, :, rows]
            scores = scores.masked_fill(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
            found.append(torch.nn.functional.dropout(scores.softmax(-1), dropout) @ values)
        return torch.cat(found, 2).to(q.dtype)
