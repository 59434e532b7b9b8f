"""Sequences split over context ranks: who has which tokens, and attention and its gradients as if they had all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

BATCH, LENGTH, HEADS, KV_HEADS, KEY, VALUE = 2, 24, 4, 2, 8, 6
pytestmark = pytest.mark.slow


def test_each_rank_has_a_part_from_each_end() -> None:
    from modelwright_plugins.engine.context import _places

    assert _places(4, 2, None).tolist() == [[0, 1, 6, 7], [2, 3, 4, 5]]
    assert _places(2, 3, None).tolist() == [[0, 5], [1, 4], [2, 3]]
    assert _places(6, 1, None).tolist() == [[0, 1, 2, 3, 4, 5]]


def attend(rank: int, counts: list[int]) -> list[Any]:
    """For each number of ranks: its output and gradients, what they are without any splitting, its places, and its part of inputs."""
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine import context
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    generator = torch.Generator().manual_seed(5)
    shapes = [(LENGTH, BATCH, HEADS, KEY), (LENGTH, BATCH, KV_HEADS, KEY), (LENGTH, BATCH, KV_HEADS, VALUE), (LENGTH, BATCH, HEADS, VALUE)]
    query, key, value, weight = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)

    def run(q: Any, k: Any, v: Any, w: Any, visible: Any) -> list[Any]:
        q, k, v = (t.clone().requires_grad_() for t in (q, k, v))
        keys, values = context.whole(k, v) if context.ranks() > 1 and len(k) < LENGTH else (k, v)
        at = torch.arange(len(keys))
        mask = ((at >= visible[:, :, :1]) & (at < visible[:, :, 1:])).unsqueeze(1)
        out = F.scaled_dot_product_attention(*(t.permute(1, 2, 0, 3) for t in (q, keys, values)), mask, enable_gqa=True).permute(2, 0, 1, 3)
        (out * w).sum().backward()
        return [t.detach().numpy() for t in (out, q.grad, k.grad, v.grad)]

    found: list[Any] = []
    for group, count in enumerate(counts):
        if rank >= count:
            found.append(None)
            continue
        joined(rank, count, group)
        with started(Megatron(context=count), seed=0):
            mine = context.places(LENGTH // count)
            everything = torch.stack([torch.zeros(LENGTH), torch.arange(LENGTH) + 1], -1).long().expand(BATCH, -1, -1)
            documents = torch.stack([torch.arange(LENGTH) // 7 * 7, torch.arange(LENGTH) + 1], -1).expand(BATCH, -1, -1)  # of seven tokens
            inputs = {"documents": documents, "rows": torch.arange(BATCH), "tokens": torch.arange(BATCH * LENGTH).view(BATCH, LENGTH)}
            part = context.split(inputs)
            pairs = []
            causal = context.causal(LENGTH // count, BATCH, query.device) if count > 1 else everything
            for whole, here in ((everything, causal), (documents, part["documents"])):
                expected = run(query, key, value, weight, whole)
                pairs.append((run(*(t[mine] for t in (query, key, value, weight)), here), [t[mine] for t in expected]))
            told = "nothing"
            try:
                context.split({"tokens": torch.zeros(1, 2 * count + 1)})
            except ValueError as error:
                told = str(error)
            found.append((mine.tolist(), {name: value.tolist() for name, value in part.items()}, pairs, told))
    return found


def test_attention_over_split_sequences_is_attention_over_whole_ones(tmp_path: Path) -> None:
    import numpy as np

    counts = [1, 2, 4]
    ranks = on_ranks(attend, 4, tmp_path, groups=len(counts), counts=counts)
    for number, count in enumerate(counts):
        held = []
        for rank in range(count):
            places, part, pairs, told = ranks[rank][number]
            held += places
            assert part["rows"] == [0, 1]
            assert part["tokens"] == [[row * LENGTH + place for place in places] for row in range(BATCH)]
            for found, expected in pairs:
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)
            multiple = f"tokens has the length {2 * count + 1}; {count} context ranks need a multiple of {2 * count}"
            assert told == ("nothing" if count == 1 else multiple)
        assert sorted(held) == list(range(LENGTH))
