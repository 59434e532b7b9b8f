"""BLOOM: linear biases of attention (ALiBi), and each head's queries, key and value one below the other, as ours."""

from __future__ import annotations

from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Weight

NAMES = Names(
    "transformer.",
    {"decoder.layers.": "transformer.h.{}."},
    (
        Weight("embedding.word_embeddings", ("transformer.word_embeddings",), vocabulary=True),
        Weight("embedding_norm", ("transformer.word_embeddings_layernorm",)),
        Weight("decoder.layers.input_layernorm", ("input_layernorm",)),
        Weight("decoder.layers.self_attention.linear_qkv", ("self_attention.query_key_value",)),
        Weight("decoder.layers.self_attention.linear_proj", ("self_attention.dense",)),
        Weight("decoder.layers.pre_mlp_layernorm", ("post_attention_layernorm",)),
        Weight("decoder.layers.mlp.linear_fc1", ("mlp.dense_h_to_4h",)),
        Weight("decoder.layers.mlp.linear_fc2", ("mlp.dense_4h_to_h",)),
        Weight("decoder.final_layernorm", ("transformer.ln_f",)),
        Weight("output_layer", ("lm_head",), vocabulary=True),
    ),
)

BLOOM = Family(
    "bloom",
    "BloomForCausalLM",
    "causal_decoder",
    NAMES,
    settings=(
        Setting("layers", "n_layer"),
        Setting("width", "hidden_size"),
        Setting("heads", "n_head"),
        Setting("norm_epsilon", "layer_norm_epsilon", 1e-5),
        Setting("tied_embeddings", "tie_word_embeddings", True),
    ),
    fixed={"norm": "layer", "activation": "gelu_tanh", "position": "alibi", "bias": True, "embedding_norm": True},
    plain={"apply_residual_connection_post_layernorm": False},
    ignored=(
        "hidden_dropout", "attention_dropout", "initializer_range", "pretraining_tp", "slow_but_exact", "seq_length",
        "attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion", "offset_alibi", "skip_bias_add", "skip_bias_add_qkv",
        "unk_token_id",
    ),
    also={"n_embed": "hidden_size", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
)  # fmt: skip
