"""Attention kernels against the formula, and what a machine without Transformer Engine is told."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.kernel.transformer_engine import TransformerEngine

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import on_ranks


def attend(rank: int) -> dict[str, float]:
    """Largest differences from attention written with loops over heads and positions."""
    import torch
    from megatron.core.transformer.enums import AttnMaskType
    from megatron.core.transformer.transformer_config import TransformerConfig

    from modelwright_plugins.engine.attention import SDPA, Reference

    torch.manual_seed(0)
    length, batch, heads, kv_heads, size = 7, 2, 4, 2, 8
    config = TransformerConfig(num_layers=1, hidden_size=heads * size, num_attention_heads=heads, attention_dropout=0.0)
    q = torch.randn(length, batch, heads, size)
    k, v = torch.randn(2, length, batch, kv_heads, size)
    found = {}
    for kind in (SDPA, Reference):
        for mask in (AttnMaskType.causal, AttnMaskType.no_mask):
            out = kind(config, 1, mask, "self")(q, k, v)
            expected = torch.empty(length, batch, heads, size, dtype=torch.float64)
            for b in range(batch):
                for h in range(heads):
                    group = h // (heads // kv_heads)
                    for i in range(length):
                        seen = i + 1 if mask == AttnMaskType.causal else length
                        scores = torch.stack([q[i, b, h].double() @ k[j, b, group].double() for j in range(seen)]) / size**0.5
                        expected[i, b, h] = scores.softmax(0) @ v[:seen, b, group].double()
            found[f"{kind.__name__} {mask.name}"] = (out - expected.flatten(2)).abs().max().item()
    return found


def test_attention_is_the_formula(tmp_path: Path) -> None:
    found = on_ranks(attend, 1, tmp_path, groups=1)[0]
    assert len(found) == 4 and max(found.values()) < 1e-6, found


@pytest.mark.skipif(find_spec("transformer_engine") is not None, reason="Transformer Engine is here")
def test_what_is_missing_is_told() -> None:
    assert TransformerEngine().problems() == [
        "kernel=transformer_engine is not installed (in Modelwright's folder: pip install -e '.[gpu]'); kernel=torch runs here"
    ]
    assert Torch().problems() == []
