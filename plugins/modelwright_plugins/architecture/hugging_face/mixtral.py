"""Mixtral: Llama's names, and experts as its published files have them (transformers 5 puts an MLP's together when it loads)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._rope import rope
from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Turned, Weight
from modelwright_plugins.architecture.hugging_face.llama import ALL, ATTENTION, BUFFERS, HEAD, LAYERS, OUTSIDE, block

EXPERTS = "decoder.layers.mlp.experts.experts."
MIXTURE = (
    Weight("decoder.layers.mlp.router", ("block_sparse_moe.gate",)),
    Weight(f"{EXPERTS}linear_fc1", ("block_sparse_moe.experts.{expert}.w1", "block_sparse_moe.experts.{expert}.w3"), "halves"),
    Weight(f"{EXPERTS}linear_fc2", ("block_sparse_moe.experts.{expert}.w2",)),
)
NAMES = Names("model.", LAYERS, OUTSIDE + ATTENTION + MIXTURE, buffers=BUFFERS)


def _out(fields: Mapping[str, Any]) -> dict[str, Any]:
    if fields["experts"] is None:
        raise ValueError("it has no experts")
    return {"intermediate_size": fields["expert_feed_forward"]}


def _back(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"feed_forward": config["intermediate_size"]}


MIXTRAL = Family(
    "mixtral",
    "MixtralForCausalLM",
    **{
        **ALL,
        "names": NAMES,
        "settings": (
            *block(kv_heads=8, epsilon=1e-5),
            HEAD,
            Setting("window", "sliding_window", None),
            Setting("experts", "num_local_experts", 8),
            Setting("experts_per_token", "num_experts_per_tok", 2),
            Setting("aux_loss", "router_aux_loss_coef", 0.001),
            Turned(("intermediate_size",), _out, _back),
            rope(1_000_000.0),
        ),
        "ignored": (*ALL["ignored"], "router_jitter_noise", "output_router_logits"),
        "also": {"num_experts": "num_local_experts"},
    },
)
