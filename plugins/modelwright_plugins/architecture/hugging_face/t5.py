"""T5, v1.0 and v1.1: an encoder and a decoder, each with its table of relative positions in its first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Turned, Weight

ACTIVATIONS = {"relu": "relu", "gelu_tanh": "gelu_new", "geglu": "gated-gelu", "swiglu": "gated-silu"}


def _layers(side: str, last: int, gated: bool) -> tuple[Weight, ...]:
    """Of one side; `last`: the place of the feed-forward network."""
    of, attention, dense = f"{side}.layers.", "layer.0.SelfAttention.", f"layer.{last}.DenseReluDense."
    if gated:
        first = Weight(f"{of}mlp.linear_fc1", (f"{dense}wi_0", f"{dense}wi_1"), "halves")
    else:
        first = Weight(f"{of}mlp.linear_fc1", (f"{dense}wi",))
    return (
        Weight(f"{of}input_layernorm", ("layer.0.layer_norm",)),
        Weight(f"{of}self_attention.linear_qkv", (f"{attention}q", f"{attention}k", f"{attention}v"), "qkv"),
        Weight(f"{of}self_attention.linear_proj", (f"{attention}o",)),
        Weight(f"{of}pre_mlp_layernorm", (f"layer.{last}.layer_norm",)),
        first,
        Weight(f"{of}mlp.linear_fc2", (f"{dense}wo",)),
    )


def _names(gated: bool) -> Names:
    cross = "layer.1.EncDecAttention."
    return Names(
        "",
        {"encoder.layers.": "encoder.block.{}.", "decoder.layers.": "decoder.block.{}."},
        (
            Weight("embedding.word_embeddings", ("shared",), vocabulary=True),
            Weight("encoder_relative", ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias",)),
            *_layers("encoder", 1, gated),
            Weight("encoder.final_layernorm", ("encoder.final_layer_norm",)),
            Weight("decoder_relative", ("decoder.block.0.layer.0.SelfAttention.relative_attention_bias",)),
            *_layers("decoder", 2, gated),
            Weight("decoder.layers.pre_cross_attn_layernorm", ("layer.1.layer_norm",)),
            Weight("decoder.layers.cross_attention.linear_q", (f"{cross}q",)),
            Weight("decoder.layers.cross_attention.linear_kv", (f"{cross}k", f"{cross}v"), "kv"),
            Weight("decoder.layers.cross_attention.linear_proj", (f"{cross}o",)),
            Weight("decoder.final_layernorm", ("decoder.final_layer_norm",)),
            Weight("output_layer", ("lm_head",), vocabulary=True),
        ),
        copies=(r"(en|de)coder\.embed_tokens\.weight",),
        buffers=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),  # of no use, in the first files
        older=(("lm_head.weight", "shared.weight"),),  # transformers 5 ties a v1.1 that is not told apart, and undivided
    )


def _tied(config: Mapping[str, Any]) -> dict[str, Any]:
    """transformers 5 writes that it ties whatever it does, and whether outputs are divided apart from it."""
    return {"tied_embeddings": bool(config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True)))}


TIED = Turned(("tie_word_embeddings", "scale_decoder_outputs"), lambda fields: {"tie_word_embeddings": fields["tied_embeddings"]}, _tied)


def _activations(names: tuple[str, ...]) -> Turned:
    def out(fields: Mapping[str, Any]) -> dict[str, Any]:
        if fields["activation"] not in names:
            raise ValueError(f"architecture.activation is {fields['activation']}; here it is {' or '.join(names)}")
        return {"feed_forward_proj": ACTIVATIONS[fields["activation"]], "is_encoder_decoder": True, "decoder_start_token_id": 0}

    def back(config: Mapping[str, Any]) -> dict[str, Any]:
        said = config.get("feed_forward_proj", "relu")
        found = {theirs: ours for ours, theirs in ACTIVATIONS.items() if ours in names}
        if said not in found:
            raise ValueError(f"feed_forward_proj is {said}; what can be read is {', '.join(found)}")
        return {"activation": found[said]}

    return Turned(("feed_forward_proj", "is_encoder_decoder", "decoder_start_token_id", "dense_act_fn", "is_gated_act"), out, back)


def _family(gated: bool) -> Family:
    return Family(
        "t5",
        "T5ForConditionalGeneration",
        "encoder_decoder",
        _names(gated),
        settings=(
            Setting("encoder_layers", "num_layers"),
            Setting("decoder_layers", "num_decoder_layers", None),
            Setting("width", "d_model"),
            Setting("heads", "num_heads"),
            Setting("head_dim", "d_kv", 64),
            Setting("feed_forward", "d_ff"),
            Setting("norm_epsilon", "layer_norm_epsilon", 1e-6),
            Setting("relative_buckets", "relative_attention_num_buckets", 32),
            Setting("relative_distance", "relative_attention_max_distance", 128),
            TIED,
            _activations(("geglu", "swiglu") if gated else ("relu", "gelu_tanh")),
        ),
        ignored=(
            "dropout_rate", "initializer_factor", "classifier_dropout", "n_positions", "output_past", "scale_decoder_outputs",
        ),
        auto="AutoModelForSeq2SeqLM",
        also={"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers", "head_dim": "d_kv"},
    )  # fmt: skip


T5, T5_GATED = _family(gated=False), _family(gated=True)
