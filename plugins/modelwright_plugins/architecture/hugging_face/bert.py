"""BERT with its heads: of masked tokens, and of pairs of segments (BertForPreTraining) or without it (BertForMaskedLM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._table import Family, Names, Setting, Turned, Weight

NAMES = Names(
    "",
    {"encoder.layers.": "bert.encoder.layer.{}."},
    (
        Weight("embedding.word_embeddings", ("bert.embeddings.word_embeddings",), vocabulary=True),
        Weight("embedding.position_embeddings", ("bert.embeddings.position_embeddings",)),
        Weight("embedding.tokentype_embeddings", ("bert.embeddings.token_type_embeddings",)),
        Weight("embedding.norm", ("bert.embeddings.LayerNorm",)),
        Weight(
            "encoder.layers.self_attention.linear_qkv",
            ("attention.self.query", "attention.self.key", "attention.self.value"),
            "qkv",
        ),
        Weight("encoder.layers.self_attention.linear_proj", ("attention.output.dense",)),
        Weight("encoder.layers.post_attention_norm", ("attention.output.LayerNorm",)),
        Weight("encoder.layers.mlp.linear_fc1", ("intermediate.dense",)),
        Weight("encoder.layers.mlp.linear_fc2", ("output.dense",)),
        Weight("encoder.layers.post_mlp_norm", ("output.LayerNorm",)),
        Weight("pooler", ("bert.pooler.dense",)),
        Weight("pair_head", ("cls.seq_relationship",)),
        Weight("masked_head.dense", ("cls.predictions.transform.dense",)),
        Weight("masked_head.norm", ("cls.predictions.transform.LayerNorm",)),
        Weight("output_layer.bias", ("cls.predictions.bias", "cls.predictions.decoder.bias"), "copies", vocabulary=True),
        Weight("output_layer.weight", ("cls.predictions.decoder.weight",), vocabulary=True),
    ),
    copies=(r"cls\.predictions\.decoder\.(weight|bias)",),
    buffers=(r"bert\.embeddings\.position_ids", r"bert\.pooler\..*", r"cls\.seq_relationship\..*"),  # of a head that BertForMaskedLM leaves
    older=(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")),
)


def _out(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"architectures": ["BertForPreTraining" if fields["pair_head"] else "BertForMaskedLM"]}


def _back(config: Mapping[str, Any]) -> dict[str, Any]:
    models = config.get("architectures") or ("BertForPreTraining",)
    models = (models,) if isinstance(models, str) else models
    known = [model for model in models if model in ("BertForPreTraining", "BertForMaskedLM")]
    if not known:
        raise ValueError(f"it is a {' and a '.join(map(str, models))}; what can be read is BertForPreTraining and BertForMaskedLM")
    return {"pair_head": known[0] == "BertForPreTraining"}  # of several, the first is what transformers opens, too


BERT = Family(
    "bert",
    "BertForPreTraining",
    "encoder",
    NAMES,
    settings=(
        Setting("layers", "num_hidden_layers"),
        Setting("width", "hidden_size"),
        Setting("heads", "num_attention_heads"),
        Setting("feed_forward", "intermediate_size"),
        Setting("positions", "max_position_embeddings"),
        Setting("token_types", "type_vocab_size", 2),
        Setting("norm_epsilon", "layer_norm_eps", 1e-12),
        Setting("tied_embeddings", "tie_word_embeddings", True),
        Turned(("architectures",), _out, _back),
    ),
    said={"hidden_act": "gelu"},
    plain={"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
    ignored=(
        "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "classifier_dropout",
        "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    ),
    positions="max_position_embeddings",
    auto="AutoModelForMaskedLM",
)  # fmt: skip
