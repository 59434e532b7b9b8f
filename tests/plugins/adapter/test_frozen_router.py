"""The bias by which a router balances its experts is no weight, and is frozen with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adapted import Case, train

from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.none import Whole
from modelwright_plugins.conformance.ranks import on_ranks

EXPERTS = {"experts": 4, "experts_per_token": 2, "expert_feed_forward": 32, "router": "sigmoid", "layers": 2}


@pytest.mark.slow  # 10 s
def test_an_adapter_moves_no_routers_bias(tmp_path: Path) -> None:
    cases = [Case(adapter, model=EXPERTS) for adapter in (LoRA(rank=4, targets=["qkv"]), Whole())]
    frozen, whole = on_ranks(train, 1, tmp_path, groups=2, cases=cases)[0]
    moved = []
    for found in (frozen, whole):
        before, after = found["buffers"]
        names = [name for name in before if "expert_bias" in name]
        assert len(names) == 2
        moved.append(any(np.any(before[name] != after[name]) for name in names))
    assert moved == [False, True]  # without an adapter it is moved: the test would see it
