"""config.json to a component of ours and back, and what is refused; weights and logits are compared in stage/test_export.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import conform
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.architecture.hugging_face import component_of, config_of, differences, read_folder
from modelwright_plugins.architecture.prefix import PrefixDecoder

PRESETS = Path(__file__).parents[3] / "conf" / "architecture"
TYPES = {  # presets of published models, and what their config.json calls them
    "llama3_8b": "llama", "llama32_1b": "llama", "mistral_7b": "mistral", "qwen25_7b": "qwen2", "qwen3_8b": "qwen3", "tiny_llama": "qwen3",
    "mixtral_8x7b": "mixtral", "gpt2_xl": "gpt2", "t5_3b": "t5", "t5_v1_1_xl": "t5", "bert_base": "bert", "bloom_176b": "bloom",
    "deepseek_v2_lite": "deepseek_v2",
}  # fmt: skip

# config.json as published (huggingface.co; only what decides the model), and the fields of ours that it says
PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "meta-llama/Llama-3.2-1B": (
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
         "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
         "initializer_range": 0.02, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False,
         "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
         "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
                          "rope_type": "llama3"},
         "rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0",
         "use_cache": True, "vocab_size": 128256},
        {"layers": 16, "width": 2048, "kv_heads": 8, "rope_scaling": "llama3", "rope_factor": 32.0, "rope_original": 8192},
    ),
    "openai-community/gpt2": (
        {"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256,
         "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
         "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1,
         "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
         "summary_use_proj": True, "task_specific_params": {"text-generation": {"do_sample": True}}, "vocab_size": 50257},
        {"layers": 12, "position": "learned", "bias": True, "tied_embeddings": True},
    ),
    "google/t5-v1_1-small": (
        {"architectures": ["T5ForConditionalGeneration"], "d_ff": 1024, "d_kv": 64, "d_model": 512, "decoder_start_token_id": 0,
         "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
         "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "model_type": "t5", "num_decoder_layers": 8, "num_heads": 6,
         "num_layers": 8, "output_past": True, "pad_token_id": 0, "relative_attention_num_buckets": 32, "tie_word_embeddings": False,
         "vocab_size": 32128},
        {"encoder_layers": 8, "activation": "geglu", "tied_embeddings": False},
    ),
    "bigscience/bloomz-560m": (
        {"apply_residual_connection_post_layernorm": False, "architectures": ["BloomForCausalLM"], "attention_dropout": 0.0,
         "attention_softmax_in_fp32": True, "bias_dropout_fusion": True, "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0,
         "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": True, "model_type": "bloom", "n_embed": 1024,
         "n_inner": None, "n_layer": 24, "num_attention_heads": 16, "offset_alibi": 100, "pad_token_id": 3, "pretraining_tp": 1,
         "seq_length": 2048, "skip_bias_add": True, "skip_bias_add_qkv": False, "transformers_version": "4.20.0", "unk_token_id": 0,
         "use_cache": True, "vocab_size": 250880},
        {"layers": 24, "width": 1024, "heads": 16, "position": "alibi", "tied_embeddings": True},
    ),
}  # fmt: skip


def preset(name: str) -> Any:
    component, fields = _preset(name)
    return conform(fields, discover().registry.load("architecture", component), name)


def _preset(name: str) -> tuple[str, dict[str, Any]]:
    told = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    base = told.pop("defaults")[0].partition("@")[0]
    component, fields = _preset(base) if (PRESETS / f"{base}.yaml").exists() else (base, {})
    return component, fields | told


@pytest.mark.parametrize("name", list(TYPES))
def test_published_models_go_out_and_come_back(name: str) -> None:
    ours = preset(name)
    family, config = config_of(ours, vocab_size=100, sequence_length=64)
    assert family.model_type == TYPES[name]
    again = component_of(json.loads(json.dumps(config)))[1]
    assert differences(ours, again) in ({}, {"positions": 64})


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_configs_are_read(name: str) -> None:
    config, fields = PUBLISHED[name]
    found = component_of(config)[1]
    assert {field: getattr(found, field) for field in fields} == fields


@pytest.mark.parametrize("name", list(TYPES))
def test_other_names_and_defaults_are_those_of_transformers(name: str) -> None:
    """What lacks a key, and what has it under another name, is read as transformers' own class of settings reads it."""
    from transformers import CONFIG_MAPPING

    family, config = config_of(preset(name), vocab_size=100, sequence_length=64)
    theirs = CONFIG_MAPPING[family.model_type]
    names = [(key, None) for key in config if key not in ("model_type", "architectures")]
    names += [(key, other) for other, key in theirs.attribute_map.items()]
    needed, wrong = set(), {}
    for key, other in names:
        less = {each: value for each, value in config.items() if each != key} | ({other: config[key]} if other else {})
        found = [_read(json.loads(json.dumps(less))), _read(theirs(**less).to_dict())]
        if isinstance(found[0], str) and "is missing" in found[0]:  # transformers would take that of its smallest model
            assert other is None
            needed.add(key)
        elif isinstance(found[0], str) or isinstance(found[1], str):
            assert found[0] == found[1]
        elif other_fields := differences(found[1], found[0]):
            wrong[key, other] = other_fields
    assert not wrong
    assert needed, "nothing is needed"


def _read(config: dict[str, Any]) -> Any:
    try:
        return component_of(config)[1]
    except ModelwrightError as e:
        return str(e)


@pytest.mark.parametrize(
    ("models", "pairs"),
    [
        (["BertForMaskedLM", "BertForPreTraining"], False),
        (["BertModel", "BertForPreTraining"], True),
        ("BertForMaskedLM", False),
        (None, True),
        (["BertModel", "BertForQuestionAnswering"], "it is a BertModel and a BertForQuestionAnswering; what can be read is"),
    ],
)
def test_berts_of_several_architectures(models: Any, pairs: bool | str) -> None:
    found = _read(config_of(preset("bert_base"), vocab_size=9, sequence_length=8)[1] | {"architectures": models})
    assert pairs in found if isinstance(pairs, str) else found.pair_head is pairs


HARMLESS: list[dict[str, Any]] = [  # published, beside what decides the model
    {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
     "max_position_embeddings": 8, "vocab_size": 9, "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
     "pooler_num_fc_layers": 3, "pooler_size_per_head": 128, "pooler_type": "first_token_transform"},  # bert-base-multilingual-cased
    PUBLISHED["meta-llama/Llama-3.2-1B"][0] | {"unsloth_fixed": True, "max_sequence_length": 2048},  # unsloth's, huggyllama's
    PUBLISHED["meta-llama/Llama-3.2-1B"][0] | {"is_llama_config": True, "transformers.js_config": {"dtype": "q4"}},  # SmolLM2
    PUBLISHED["openai-community/gpt2"][0] | {"n_special": 0, "predict_special_tokens": True, "_num_labels": 1},  # gpt2-medium, distilgpt2
]  # fmt: skip


@pytest.mark.parametrize("config", HARMLESS, ids=[config["model_type"] for config in HARMLESS])
def test_keys_that_nothing_is_computed_with(config: dict[str, Any]) -> None:
    """Those of published files, and those of generation, which transformers 4 wrote into config.json and 5 has elsewhere."""
    from transformers import GenerationConfig

    generation = {"max_length", "min_length", "do_sample", "num_beams", "temperature", "top_k", "top_p", "repetition_penalty"}
    assert generation < GenerationConfig().to_dict().keys()
    component_of(config | dict.fromkeys(generation, 2) | {"output_attentions": True, "chunk_size_feed_forward": 4})


def test_two_names_of_a_setting_say_one_thing() -> None:
    config = PUBLISHED["bigscience/bloomz-560m"][0]
    assert component_of(config | {"hidden_size": 1024})[1] == component_of(config)[1]
    with pytest.raises(ModelwrightError, match="n_head is 8 and num_attention_heads 16, which are two names of one setting"):
        component_of(config | {"n_head": 8})


LLAMA = PUBLISHED["meta-llama/Llama-3.2-1B"][0]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "lama"}, "model_type is lama (did you mean llama?)|model_type is lama"),
    ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}; what can be read has plain numbers"),
    ({"residual_gate": 2}, "residual_gate is 2, which is not read; if nothing is computed with it, take it out of config.json"),
    ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_scaling is of type dynamic"),
    ({"attention_bias": True}, "attention_bias is True and mlp_bias False"),
    ({"hidden_act": "gelu"}, "hidden_act is gelu; what can be read is silu"),
    ({"num_attention_heads": 7}, "width 2048 is not a multiple|heads 7 is not a multiple"),
    ({"hidden_size": None}, "llama: "),
]


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=[next(iter(change)) for change, _ in REFUSED])
def test_what_computes_something_else_is_refused_in_one_line(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelwrightError) as found:
        component_of(LLAMA | change)
    assert any(each in str(found.value) for each in why.split("|")) and "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        (CausalDecoder(norm_placement="deepnorm"), "architecture.norm_placement=deepnorm"),
        (CausalDecoder(mtp_layers=1), "architecture.mtp_layers=1"),
        (CausalDecoder(rope_scaling="ntk", rope_factor=2.0), "ntk"),
        (CausalDecoder(norm="layer", activation="gelu", position="learned", bias=True), "architecture.activation=gelu"),
        (CausalDecoder(mup_width=256), "architecture.mup_width=256"),
        (EncoderDecoder(activation="swiglu", relative_buckets=16), None),
        (PrefixDecoder(), "PrefixDecoder"),
    ],
)
def test_what_hugging_face_lacks_is_told_in_one_line(ours: Any, why: str | None) -> None:
    if why is None:
        assert config_of(ours, vocab_size=9, sequence_length=9)[1]["feed_forward_proj"] == "gated-silu"
        return
    with pytest.raises(ModelwrightError, match="Hugging Face has no architecture") as found:
        config_of(ours, vocab_size=9, sequence_length=9)
    assert why in str(found.value) and "\n" not in str(found.value)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match=r"has no config\.json"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ModelwrightError, match="is no config of Hugging Face's"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"vocab_size": "many"}))
    with pytest.raises(ModelwrightError, match="vocab_size is many"):
        read_folder(tmp_path)
