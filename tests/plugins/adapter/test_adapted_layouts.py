"""An adapter learns the same under tensor, sequence and pipeline parallelism as on one rank: losses, gradients and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapted import STEPS, Case, train

from modelwright_plugins.adapter.bottleneck import Parallel, Series
from modelwright_plugins.adapter.dora import DoRA
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.prefix_tuning import PrefixTuning
from modelwright_plugins.adapter.prompt_tuning import PromptTuning
from modelwright_plugins.adapter.qlora import QLoRA
from modelwright_plugins.conformance.ranks import on_ranks

pytestmark = pytest.mark.slow

LAYOUTS: list[dict[str, Any]] = [{"tensor": 2}, {"tensor": 2, "sequence": True}, {"pipeline": 2}]
AGAIN: list[dict[str, Any]] = [{"data": 2}, {"pipeline": 2, "virtual": 2, "recompute": "full"}]
MORE = {LoRA: AGAIN, PrefixTuning: [{"context": 2}], PromptTuning: [{"context": 2}, AGAIN[1]]}
GPT2 = {"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True, "kv_heads": None}
LATENT = {"kv_heads": None, "qkv_bias": None, "kv_rank": 16, "rope_head_dim": 4}
ADAPTERS = [
    LoRA(rank=4),
    DoRA(rank=4),
    QLoRA(rank=4, block=16),
    Series(size=8),
    Parallel(size=8, places=["attention", "feed_forward"]),
    PrefixTuning(length=3, hidden=16),
    PromptTuning(length=4),
]


def part_of(whole: dict[tuple[str, tuple[int, ...]], Any], name: str, offset: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """What one rank has at the place of another's part. Of a gated matrix, one rank has two parts, at rows 0 and half."""
    layer, place = offset[: -len(shape)], offset[-len(shape) :]
    starts = [
        at
        for key, at in whole
        if key == name and at[: -len(shape)] == layer and all(a <= b for a, b in zip(at[-len(shape) :], place, strict=True))
    ]
    start = max(starts)
    at = tuple(slice(b - a, b - a + size) for a, b, size in zip(start[-len(shape) :], place, shape, strict=True))
    return whole[name, start][at]


def difference(alone: dict[str, Any], found: dict[str, Any], what: str) -> float:
    """The largest, over the largest number of each matrix."""
    whole = {(name, offset): value for name, offset, value in alone[what]}
    worst = 0.0
    for name, offset, value in found[what]:
        expected = part_of(whole, name, offset, value.shape)
        assert expected.shape == value.shape, name
        worst = max(worst, float(np.abs(expected - value).max() / max(np.abs(v).max() for (key, _), v in whole.items() if key == name)))
    return worst


def held(cases: list[Case], folder: Path) -> None:
    """The first case is one rank's."""
    ranks = on_ranks(train, 2, folder, groups=len(cases), cases=cases)
    alone = ranks[0][0]
    assert len(alone["metrics"]) == STEPS and any(np.abs(value).max() > 0 for _, _, value in alone["gradients"])
    for place, case in enumerate(cases[1:], 1):
        for found in (rank[place] for rank in ranks if rank[place]):
            for one, other in zip(alone["metrics"], found["metrics"], strict=True):
                assert abs(one["loss"] - other["loss"]) < 1e-5 and abs(one["grad_norm"] / other["grad_norm"] - 1) < 1e-5, case
            for what in ("gradients", "weights"):
                assert (far := difference(alone, found, what)) < (1e-5 if what == "gradients" else 5e-5), (case, what, far)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
def test_every_layout_learns_what_one_rank_learns(adapter: Any, tmp_path: Path) -> None:
    held([Case(adapter, layout) for layout in ({}, *LAYOUTS, *MORE.get(type(adapter), []))], tmp_path)


@pytest.mark.parametrize(("model", "targets"), [(GPT2, ["qkv", "fc1"]), (LATENT, ["q_proj", "kv_up_proj", "proj"])], ids=["GPT-2", "MLA"])
def test_other_models(model: dict[str, Any], targets: list[str], tmp_path: Path) -> None:
    held([Case(DoRA(rank=4, targets=targets), layout, model) for layout in ({}, {"tensor": 2, "sequence": True})], tmp_path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"the model has no fc9 to adapt; it has fc1, fc2, proj, qkv"):
        on_ranks(train, 1, tmp_path, groups=1, cases=[Case(LoRA(targets=["qkv", "fc9"]))])
