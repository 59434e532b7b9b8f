"""From a decoder's parameters to Megatron's config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from megatron.core.transformer.transformer_config import MLATransformerConfig, TransformerConfig

from modelwright_plugins.architecture._gpt import gelu_tanh, squared_relu

if TYPE_CHECKING:
    from modelwright_plugins.architecture.decoder import CausalDecoder

ACTIVATIONS = {
    "gelu": F.gelu, "gelu_tanh": gelu_tanh, "relu": F.relu, "squared_relu": squared_relu, "silu": F.silu,
    "swiglu": F.silu, "geglu": F.gelu, "geglu_tanh": gelu_tanh,
}  # fmt: skip


@dataclass
class ModelConfig(TransformerConfig):
    """Megatron's, with what it has no field for. The names with yarn are those that its attention looks for."""

    alibi: bool = False
    matrix_rate: float = 1.0  # of matrices inside of the layers, times the peak learning rate (µP)
    yarn_rotary_scaling_factor: float = 1.0
    yarn_mscale: float = 1.0
    yarn_mscale_all_dim: float = 0.0


@dataclass
class LatentConfig(ModelConfig, MLATransformerConfig):
    """The same for multi-head latent attention."""


def decoder_config(a: CausalDecoder, engine: dict[str, Any]) -> TransformerConfig:
    """`engine`: fields that layout, precision and kernel decide."""
    from modelwright_plugins.architecture.decoder import GATED

    fields: dict[str, Any] = {
        "num_layers": a.layers,
        "hidden_size": a.width,
        "num_attention_heads": a.heads,
        "num_query_groups": a.kv_heads or a.heads,
        "kv_channels": a.head_dim or a.width // a.heads,
        "ffn_hidden_size": a.feed_forward_size,
        "normalization": {"layer": "LayerNorm", "rms": "RMSNorm"}[a.norm],
        "layernorm_epsilon": a.norm_epsilon,
        "activation_func": ACTIVATIONS[a.activation],
        "gated_linear_unit": a.activation in GATED,
        "qk_layernorm": a.qk_norm,
        "softmax_scale": a.attention_scale,
        "add_bias_linear": a.bias,
        "add_qkv_bias": a.bias if a.qkv_bias is None else a.qkv_bias,
        "attention_dropout": a.dropout,
        "hidden_dropout": a.dropout,
        "window_size": None if a.window is None else (a.window - 1, 0),
        "mtp_num_layers": a.mtp_layers or None,
        "alibi": a.position == "alibi",
        "matrix_rate": 1 / a.width_ratio,
        **_experts(a),
        **engine,
    }
    if a.kv_rank is not None:
        return LatentConfig(**fields, **_latent(a))
    yarn: dict[str, Any] = {
        "yarn_rotary_scaling_factor": a.rope_factor,
        "yarn_mscale": a.yarn_mscale,
        "yarn_mscale_all_dim": a.yarn_mscale_all,
    }
    return ModelConfig(**fields, **(yarn if a.rope_scaling == "yarn" else {}))


def _latent(a: CausalDecoder) -> dict[str, Any]:
    yarn = {
        "rope_type": "yarn",
        "rotary_scaling_factor": a.rope_factor,
        "original_max_position_embeddings": a.rope_original,
        "beta_slow": a.rope_slow,
        "beta_fast": 32 if a.rope_fast is None else a.rope_fast,
        "mscale": a.yarn_mscale,
        "mscale_all_dim": a.yarn_mscale_all,
    }
    return {
        "multi_latent_attention": True,  # in a class with two bases the default is the first one's
        "q_lora_rank": a.q_rank,
        "kv_lora_rank": a.kv_rank,
        "qk_head_dim": a.head_dim or a.width // a.heads,
        "qk_pos_emb_head_dim": a.rope_head_dim,
        "v_head_dim": a.value_head_dim or a.head_dim or a.width // a.heads,
        "rotary_base": a.rope_base,
        # without yarn nothing multiplies the scores
        **(yarn if a.rope_scaling == "yarn" else {"rope_type": "rope", "rotary_scaling_factor": 1.0}),
    }


def _experts(a: CausalDecoder) -> dict[str, Any]:
    if a.experts is None:
        return {}
    fields: dict[str, Any] = {
        "num_moe_experts": a.experts,
        "moe_ffn_hidden_size": a.expert_feed_forward_size,
        "moe_shared_expert_intermediate_size": a.shared_expert_feed_forward,
        "moe_router_topk": a.experts_per_token,
        "moe_router_dtype": "fp32",
        "moe_router_load_balancing_type": {"batch": "aux_loss", "sequence": "seq_aux_loss"}[a.balance] if a.aux_loss else "none",
        "moe_aux_loss_coeff": a.aux_loss,
        "moe_z_loss_coeff": a.z_loss or None,
        "moe_token_dispatcher_type": "alltoall",
    }
    if a.router != "softmax_chosen":
        fields |= {"moe_router_pre_softmax": True, "moe_router_topk_scaling_factor": a.router_scale}
    if a.router == "sigmoid":
        fields |= {"moe_router_pre_softmax": False, "moe_router_score_function": "sigmoid", "moe_router_enable_expert_bias": True}
    if a.first_dense_layers:
        fields["moe_layer_freq"] = [int(number >= a.first_dense_layers) for number in range(a.layers)]
    return fields
