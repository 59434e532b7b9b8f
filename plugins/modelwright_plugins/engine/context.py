"""Context parallelism: each rank has two parts of every sequence, and attention gathers the keys and values of all.

With n ranks a sequence is cut into 2n parts, and rank r has parts r and 2n - 1 - r: under a causal mask every rank then has
the same work (Brandon et al. 2023, arXiv:2311.09431; it is the order of Megatron's rotary embeddings and of Transformer Engine). Queries
stay where they are; keys and values are gathered (Llama 3, Grattafiori et al. 2024, arXiv:2407.21783, section 3.3.2), and in the backward
pass their gradients, which every rank has a part of, are summed and scattered. With one rank nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from megatron.core import parallel_state
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region

_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Inside, each rank has whole sequences, as in generation: all context ranks do the same."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def ranks() -> int:
    """How many ranks share each sequence."""
    if _alone:
        return 1
    count: int = parallel_state.get_context_parallel_world_size()
    return count or 1  # 0: no process group


def places(length: int, device: torch.device | None = None) -> torch.Tensor:
    """Places in the sequence of the `length` tokens that this rank holds: int64 [length], rising."""
    if (count := ranks()) == 1:
        return torch.arange(length, device=device)
    return _places(length, count, device)[parallel_state.get_context_parallel_rank()]


def query_places(queries: int, keys: int, device: torch.device | None = None) -> torch.Tensor:
    """`places` of the `queries` that this rank holds. Where there are more `keys`, earlier ones were kept, and the queries are the last."""
    kept = max(0, keys - queries) if ranks() == 1 else 0
    return places(queries, device) + kept


def split(inputs: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor | None]:
    """This rank's part of each [batch, length, …]; what has one dimension is not of the sequence, and stays, as None does.

    Raises ValueError if a length is not a multiple of 2 x ranks.
    """
    if (count := ranks()) == 1:
        return dict(inputs)
    found = {}
    for name, value in inputs.items():
        if value is not None and value.dim() >= 2:
            if value.shape[1] % (2 * count):
                raise ValueError(f"{name} has the length {value.shape[1]}; {count} context ranks need a multiple of {2 * count}")
            value = value[:, places(value.shape[1] // count, value.device)]
        found[name] = value
    return found


def whole(key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [length, batch, heads, head_dim] of all ranks' tokens, in the order of the sequence."""
    if (count := ranks()) == 1:
        return key, value
    both = torch.cat([key, value], -1)  # one message; the sizes of a head may differ
    both = gather_from_sequence_parallel_region(both, tensor_parallel_output_grad=True, group=parallel_state.get_context_parallel_group())
    back = _places(len(key), count, key.device).flatten().argsort()
    key, value = both[back].split([key.shape[-1], value.shape[-1]], -1)
    return key, value


def causal(length: int, batch: int, device: torch.device) -> torch.Tensor:
    """Keys that each query of this rank sees, if all up to its own place: int64 [batch, length, 2], as `attention_mask` tells it."""
    end = places(length, device) + 1
    return torch.stack([torch.zeros_like(end), end], -1).expand(batch, -1, -1)


def _places(length: int, count: int, device: torch.device | None) -> torch.Tensor:
    """[ranks, length]: the places of each rank's tokens."""
    parts = torch.arange(length * count, device=device).view(2 * count, -1)
    rank = torch.arange(count, device=device)
    return torch.stack([parts[rank], parts[2 * count - 1 - rank]], 1).flatten(1)
