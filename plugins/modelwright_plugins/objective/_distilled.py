"""Divergence and cross-entropy of logits whose vocabulary tensor ranks share out.

Sums over the vocabulary are over the ranks too. What each rank has alone and what all have the same are told apart by Megatron's
`reduce_from` (alone -> same) and `copy_to` (same -> alone), so that gradients are whole on every rank.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel import copy_to_tensor_model_parallel_region, reduce_from_tensor_model_parallel_region

NONE = -1e30  # logit of no token: of no probability, and finite, so that 0 times it is 0


def known(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """[batch, length, part of this rank], in FP32 or more: what pads the vocabulary beyond `tokens` has no probability."""
    number = _first(logits) + torch.arange(logits.shape[-1], device=logits.device)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).masked_fill(number >= tokens, NONE)


def divergence(student: torch.Tensor, teacher: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    """KL(teacher || student), or with `reverse` KL(student || teacher), nats [batch, length]; logits are [batch, length, part of this
    rank]."""
    ours, theirs = log_sum(student), log_sum(teacher)
    if reverse:
        weight = (student - copy_to_tensor_model_parallel_region(ours)[..., None]).exp()
        return _sum(weight * (student - teacher)) - ours + theirs
    return _sum((teacher - theirs[..., None]).exp() * (teacher - student)) - theirs + ours


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Nats [batch, length] of labels [batch, length]; whatever it is where one is below 0."""
    place = labels - _first(logits)
    mine = (place >= 0) & (place < logits.shape[-1])
    chosen = logits.gather(-1, (place * mine)[..., None])[..., 0] * mine
    return log_sum(logits) - reduce_from_tensor_model_parallel_region(chosen)


def log_sum(logits: torch.Tensor) -> torch.Tensor:
    """ln of the sum of e^logit over the whole vocabulary: [batch, length, part of this rank] -> [batch, length]."""
    most = logits.detach().amax(-1)
    dist.all_reduce(most, dist.ReduceOp.MAX, parallel_state.get_tensor_model_parallel_group())
    return most + _sum((logits - most[..., None]).exp()).log()


def _sum(each: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = reduce_from_tensor_model_parallel_region(each.sum(-1))
    return total


def _first(logits: torch.Tensor) -> int:
    rank: int = parallel_state.get_tensor_model_parallel_rank()
    return rank * logits.shape[-1]
