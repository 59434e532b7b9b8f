"""Every kind of decoder trains, and learns on two ranks what it learns on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.conformance.training import Case, losses, small_decoder
from modelwright_plugins.parallel.megatron import Megatron

MIXTURE = {
    "experts": 4, "aux_loss": 0.01, "z_loss": 0.001, "shared_expert_feed_forward": 64, "first_dense_layers": 1, "router": "softmax_all",
    "balance": "sequence",
}  # fmt: skip
MLA: dict[str, Any] = {"kv_heads": None, "kv_rank": 16, "head_dim": 8, "rope_head_dim": 4, "value_head_dim": 6}
FAMILIES: dict[str, dict[str, Any]] = {
    "mixtral": {"experts": 4, "aux_loss": 0.01, "z_loss": 0.001},
    "mixture": MIXTURE,
    "sigmoid": {"experts": 4, "router": "sigmoid", "router_scale": 2.0},
    "latent": {**MLA, "rope_scaling": "yarn", "rope_factor": 4.0, "rope_original": 16},
    "latent queries": {**MLA, "q_rank": 12},
    "deepseek": {**MLA, **MIXTURE},
    "alibi": {"position": "alibi", "embedding_norm": True, "norm": "layer", "bias": True, "activation": "gelu"},
    "window": {"window": 7, "qkv_bias": True},
    "sandwich": {"norm_placement": "sandwich", "activation": "geglu"},
    "post": {"norm_placement": "post", "norm": "layer", "bias": True, "activation": "squared_relu"},
    "deepnorm": {"norm_placement": "deepnorm", "position": "learned", "activation": "silu"},
    "multipliers": {
        "embedding_multiplier": 3.0, "residual_multiplier": 0.5, "output_multiplier": 0.5, "mup_width": 16, "embedding_norm": True
    },
    "nothing": {"position": "none", "rope_fraction": 1.0, "tied_embeddings": False},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_two_ranks_learn_what_one_learns(tmp_path: Path, name: str) -> None:
    architecture = small_decoder(**FAMILIES[name], initializer_std=0.1)  # at 0.02 attention's gradients are hardly more than rounding
    layouts = [Megatron(), Megatron(tensor=2, sequence=True), Megatron(pipeline=2), Megatron(recompute="selective")]
    if architecture.experts is None:
        layouts.append(Megatron(tensor=2))
    else:
        layouts.append(Megatron(expert=2, data=2))
    cases = [Case(parts={"architecture": architecture, "parallel": layout}, steps=5) for layout in layouts]
    one, *others = losses(cases, tmp_path, ranks=2)
    assert one[-1] < one[0] - 0.02, one
    for layout, other in zip(layouts[1:], others, strict=True):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-5, f"{layout}: {other}, on one rank {one}"
