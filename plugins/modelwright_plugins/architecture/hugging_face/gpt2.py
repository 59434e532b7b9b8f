"""GPT-2: queries, keys and values one below the other, and weights [inputs, outputs]."""

from __future__ import annotations

from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Weight

NAMES = Names(
    "transformer.",
    {"decoder.layers.": "transformer.h.{}."},
    (
        Weight("embedding.word_embeddings", ("transformer.wte",), vocabulary=True),
        Weight("embedding.position_embeddings", ("transformer.wpe",)),
        Weight("decoder.layers.input_layernorm", ("ln_1",)),
        Weight("decoder.layers.self_attention.linear_qkv", ("attn.c_attn",), "qkv", transposed=True),
        Weight("decoder.layers.self_attention.linear_proj", ("attn.c_proj",), transposed=True),
        Weight("decoder.layers.pre_mlp_layernorm", ("ln_2",)),
        Weight("decoder.layers.mlp.linear_fc1", ("mlp.c_fc",), transposed=True),
        Weight("decoder.layers.mlp.linear_fc2", ("mlp.c_proj",), transposed=True),
        Weight("decoder.final_layernorm", ("transformer.ln_f",)),
        Weight("output_layer", ("lm_head",), vocabulary=True),
    ),
    buffers=(r".*\.attn\.(masked_)?bias",),
)

GPT2 = Family(
    "gpt2",
    "GPT2LMHeadModel",
    "causal_decoder",
    NAMES,
    settings=(
        Setting("layers", "n_layer"),
        Setting("width", "n_embd"),
        Setting("heads", "n_head"),
        Setting("feed_forward", "n_inner", None),
        Setting("positions", "n_positions", 1024),
        Setting("norm_epsilon", "layer_norm_epsilon", 1e-5),
        Setting("tied_embeddings", "tie_word_embeddings", True),
    ),
    fixed={"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True},
    said={"activation_function": "gelu_new"},
    plain={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    ignored=(
        "resid_pdrop", "embd_pdrop", "attn_pdrop", "initializer_range", "n_ctx", "reorder_and_upcast_attn", "summary_type",
        "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout", "n_special", "predict_special_tokens",
    ),
    positions="n_positions",
    also={
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
    },
)  # fmt: skip
