"""DeepSeek-V2: multi-head latent attention, experts of their own size, a shared one, and dense layers before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._rope import rope
from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Turned, Weight
from modelwright_plugins.architecture.hugging_face.llama import ALL, BUFFERS, FEED_FORWARD, INNER, LAYERS, OUTSIDE, SIZES
from modelwright_plugins.architecture.hugging_face.mixtral import EXPERTS

LATENT = (
    Weight("decoder.layers.input_layernorm", ("input_layernorm",)),
    Weight("decoder.layers.self_attention.linear_q_proj", ("self_attn.q_proj",)),
    Weight("decoder.layers.self_attention.linear_q_down_proj", ("self_attn.q_a_proj",)),
    Weight("decoder.layers.self_attention.q_layernorm", ("self_attn.q_a_layernorm",)),
    Weight("decoder.layers.self_attention.linear_q_up_proj", ("self_attn.q_b_proj",)),
    Weight("decoder.layers.self_attention.linear_kv_down_proj", ("self_attn.kv_a_proj_with_mqa",)),
    Weight("decoder.layers.self_attention.kv_layernorm", ("self_attn.kv_a_layernorm",)),
    Weight("decoder.layers.self_attention.linear_kv_up_proj", ("self_attn.kv_b_proj",)),
    Weight("decoder.layers.self_attention.linear_proj", ("self_attn.o_proj",)),
    Weight("decoder.layers.pre_mlp_layernorm", ("post_attention_layernorm",)),
)
SHARED = "decoder.layers.mlp.shared_experts."
MIXTURE = (
    Weight("decoder.layers.mlp.router", ("mlp.gate",)),
    Weight(f"{EXPERTS}linear_fc1", ("mlp.experts.{expert}.gate_proj", "mlp.experts.{expert}.up_proj"), "halves"),
    Weight(f"{EXPERTS}linear_fc2", ("mlp.experts.{expert}.down_proj",)),
    Weight(f"{SHARED}linear_fc1", ("mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj"), "halves"),
    Weight(f"{SHARED}linear_fc2", ("mlp.shared_experts.down_proj",)),
)
NAMES = Names("model.", LAYERS, OUTSIDE + LATENT + FEED_FORWARD + MIXTURE, buffers=BUFFERS)


def _out(fields: Mapping[str, Any]) -> dict[str, Any]:
    size, shared = fields["expert_feed_forward"], fields["shared_expert_feed_forward"]
    if fields["kv_rank"] is None or fields["experts"] is None or shared is None or shared % size:
        raise ValueError("it has no latent attention with experts and a shared one of a multiple of their size")
    return {"n_shared_experts": shared // size, "moe_intermediate_size": size, "num_key_value_heads": fields["heads"]}


def _back(config: Mapping[str, Any]) -> dict[str, Any]:
    size = config["moe_intermediate_size"]
    return {"expert_feed_forward": size, "shared_expert_feed_forward": (config.get("n_shared_experts", 2) or 0) * size or None}


DEEPSEEK_V2 = Family(
    "deepseek_v2",
    "DeepseekV2ForCausalLM",
    **{
        **ALL,
        "names": NAMES,
        "settings": (
            *(setting for setting in SIZES if setting.ours != "kv_heads"),
            INNER,
            Setting("head_dim", "qk_nope_head_dim", 128),
            Setting("rope_head_dim", "qk_rope_head_dim", 64),
            Setting("value_head_dim", "v_head_dim", 128),
            Setting("kv_rank", "kv_lora_rank", 512),
            Setting("q_rank", "q_lora_rank", 1536),
            Setting("experts", "n_routed_experts", 64),
            Setting("experts_per_token", "num_experts_per_tok"),
            Setting("first_dense_layers", "first_k_dense_replace", 0),
            Setting("router_scale", "routed_scaling_factor", 1.0),
            Turned(("n_shared_experts", "moe_intermediate_size", "num_key_value_heads"), _out, _back),
            rope(),
        ),
        "fixed": ALL["fixed"] | {"router": "softmax_all"},
        "said": ALL["said"] | {"topk_method": "greedy", "norm_topk_prob": False, "attention_bias": False},
        "plain": {"scoring_func": "softmax", "moe_layer_freq": 1, "mlp_bias": False},
        "ignored": (
            *ALL["ignored"], "aux_loss_alpha", "seq_aux", "ep_size", "n_group", "topk_group", "head_dim", "qk_head_dim",
            "output_router_logits",
        ),
        "also": {"num_experts": "n_routed_experts"},
    },
)  # fmt: skip
