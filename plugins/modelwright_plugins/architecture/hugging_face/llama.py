"""Llama and its heirs: Mistral, Qwen 2 (biases of queries, keys and values), Qwen 3 (norms of queries and keys), Granite (multipliers)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._rope import rope
from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Turned, Weight

OUTSIDE = (
    Weight("embedding.word_embeddings", ("model.embed_tokens",), vocabulary=True),
    Weight("decoder.final_layernorm", ("model.norm",)),
    Weight("output_layer", ("lm_head",), vocabulary=True),
)
ATTENTION = (
    Weight("decoder.layers.input_layernorm", ("input_layernorm",)),
    Weight("decoder.layers.self_attention.linear_qkv", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "qkv"),
    Weight("decoder.layers.self_attention.q_layernorm", ("self_attn.q_norm",)),
    Weight("decoder.layers.self_attention.k_layernorm", ("self_attn.k_norm",)),
    Weight("decoder.layers.self_attention.linear_proj", ("self_attn.o_proj",)),
    Weight("decoder.layers.pre_mlp_layernorm", ("post_attention_layernorm",)),
)
FEED_FORWARD = (
    Weight("decoder.layers.mlp.linear_fc1", ("mlp.gate_proj", "mlp.up_proj"), "halves"),
    Weight("decoder.layers.mlp.linear_fc2", ("mlp.down_proj",)),
)
BUFFERS = (r".*\.rotary_emb\.inv_freq",)
LAYERS = {"decoder.layers.": "model.layers.{}."}
NAMES = Names("model.", LAYERS, OUTSIDE + ATTENTION + FEED_FORWARD, buffers=BUFFERS)


def block(*, kv_heads: int | None = None, epsilon: float = 1e-6) -> tuple[Setting, ...]:
    """Its sizes, and what two of them are where config.json lacks them."""
    return (
        Setting("layers", "num_hidden_layers"),
        Setting("width", "hidden_size"),
        Setting("heads", "num_attention_heads"),
        Setting("kv_heads", "num_key_value_heads", kv_heads),
        Setting("norm_epsilon", "rms_norm_eps", epsilon),
        Setting("tied_embeddings", "tie_word_embeddings", False),
    )


SIZES = block()
INNER = Setting("feed_forward", "intermediate_size")
HEAD = Setting("head_dim", "head_dim", None)
FORGOTTEN = (  # what no model computes with in evaluation
    "attention_dropout", "initializer_range", "pretraining_tp", "rope_interleaved", "max_sequence_length",
)  # fmt: skip
BLOCK = {"norm": "rms", "activation": "swiglu", "position": "rope"}
SILU = {"hidden_act": "silu"}


def biases() -> Turned:
    """Llama's: of all of attention, and of the feed-forward network. Ours: of both."""

    def out(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"attention_bias": fields["bias"], "mlp_bias": fields["bias"]}

    def back(config: Mapping[str, Any]) -> dict[str, Any]:
        attention, mlp = bool(config.get("attention_bias", False)), bool(config.get("mlp_bias", False))
        if attention != mlp:
            raise ValueError(f"attention_bias is {attention} and mlp_bias {mlp}; what can be read has both or neither")
        return {"bias": attention}

    return Turned(("attention_bias", "mlp_bias"), out, back)


def windows() -> Turned:
    """Qwen's: layers from `max_window_layers` on see a window. Ours: all, or none."""

    def out(fields: Mapping[str, Any]) -> dict[str, Any]:
        seen = fields["window"]
        return {"use_sliding_window": seen is not None, "sliding_window": seen, "max_window_layers": 0 if seen else fields["layers"]}

    def back(config: Mapping[str, Any]) -> dict[str, Any]:
        kinds = {*(config.get("layer_types") or ())}
        if not config.get("use_sliding_window", False) and kinds <= {"full_attention"}:
            return {"window": None}
        first = config.get("max_window_layers", 28)
        if kinds == {"sliding_attention"} or (not kinds and first == 0):
            return {"window": config.get("sliding_window", 4096)}
        if kinds == {"full_attention"} or (not kinds and first >= config["num_hidden_layers"]):
            return {"window": None}
        raise ValueError("some layers see a window and others all; what can be read has one kind")

    return Turned(("use_sliding_window", "sliding_window", "max_window_layers", "layer_types"), out, back)


def multipliers() -> Turned:
    """Granite's."""

    def out(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "embedding_multiplier": fields["embedding_multiplier"],
            "residual_multiplier": fields["residual_multiplier"],
            "logits_scaling": 1 / fields["output_multiplier"],
            "attention_multiplier": fields["attention_scale"],
        }

    def back(config: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "embedding_multiplier": float(config.get("embedding_multiplier", 1.0)),
            "residual_multiplier": float(config.get("residual_multiplier", 1.0)),
            "output_multiplier": 1 / float(config.get("logits_scaling", 1.0)),
            "attention_scale": float(config.get("attention_multiplier", 1.0)),
        }

    return Turned(("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier"), out, back)


ALL: dict[str, Any] = {
    "component": "causal_decoder",
    "names": NAMES,
    "fixed": BLOCK,
    "said": SILU,
    "ignored": FORGOTTEN,
    "positions": "max_position_embeddings",
}
LLAMA = Family("llama", "LlamaForCausalLM", settings=(*SIZES, INNER, HEAD, biases(), rope()), **ALL)
MISTRAL = Family(
    "mistral", "MistralForCausalLM", settings=(*block(kv_heads=8), INNER, HEAD, Setting("window", "sliding_window", 4096), rope()), **ALL
)
QWEN2 = Family(
    "qwen2", "Qwen2ForCausalLM", settings=(*block(kv_heads=32), INNER, windows(), rope()), **{**ALL, "fixed": BLOCK | {"qkv_bias": True}}
)
QWEN3 = Family(
    "qwen3",
    "Qwen3ForCausalLM",
    settings=(*block(kv_heads=32), INNER, Setting("head_dim", "head_dim", 128), windows(), rope()),
    **{**ALL, "fixed": BLOCK | {"qk_norm": True}, "said": SILU | {"attention_bias": False}},
)
GRANITE = Family("granite", "GraniteForCausalLM", settings=(*SIZES, INNER, biases(), multipliers(), rope()), **ALL)
