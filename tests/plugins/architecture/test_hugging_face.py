"""Random tiny models give the logits of Hugging Face's models with the same weights, in FP32."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from hugging_face import SIZES, THEIRS, VOCAB, bloom, difference, llama, loaded, made
from ranks import joined, on_ranks

from modelwright_plugins.architecture.decoder import CausalDecoder

ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
MLA = {"kv_rank": 32, "head_dim": 16, "rope_head_dim": 8, "value_head_dim": 12}
THEIR_MLA = {"kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "q_lora_rank": None}
MIXTURE = {"experts": 4, "expert_feed_forward": 48, "shared_expert_feed_forward": 96, "first_dense_layers": 1, "router": "softmax_all"}
THEIR_MIXTURE = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 48,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
}
YARN = {"rope_scaling": "yarn", "rope_factor": 4.0, "rope_original": 16}
THEIR_YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original": 16}
THEIR_LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
GEMMA_NORMS = {
    "input_layernorm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "pre_mlp_layernorm": "pre_feedforward_layernorm", "post_mlp_norm": "post_feedforward_layernorm",
}  # fmt: skip

# ours, the class of theirs, its config
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "mistral": ({"kv_heads": 2, "window": 7}, "Mistral", {"num_key_value_heads": 2, "sliding_window": 7}),
    "mixtral": ({"kv_heads": 2, "experts": 4}, "Mixtral", {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2": ({"kv_heads": 2, "qkv_bias": True}, "Qwen2", {"num_key_value_heads": 2}),
    "qwen3": ({"kv_heads": 2, "qk_norm": True, "head_dim": 24}, "Qwen3", {"num_key_value_heads": 2, "head_dim": 24}),
    "deepseek_v2": (MLA | MIXTURE, "DeepseekV2", THEIR_MLA | THEIR_MIXTURE),
    "deepseek_v2, queries with a latent": (MLA | MIXTURE | {"q_rank": 40}, "DeepseekV2", THEIR_MLA | THEIR_MIXTURE | {"q_lora_rank": 40}),
    "deepseek_v2, yarn": (
        MLA | MIXTURE | YARN | {"yarn_mscale": 0.707, "yarn_mscale_all": 0.707},
        "DeepseekV2",
        THEIR_MLA | THEIR_MIXTURE | {"rope_parameters": THEIR_YARN | {"mscale": 0.707, "mscale_all_dim": 0.707}},
    ),
    "llama, linear": (
        {"rope_scaling": "linear", "rope_factor": 4.0}, "Llama", {"rope_parameters": ROPE | {"rope_type": "linear", "factor": 4.0}},
    ),
    "llama, ntk": (  # theirs takes 2 · length / max_position_embeddings - (2 - 1) when the text is longer
        {"rope_scaling": "ntk", "rope_factor": 2.0},
        "Llama",
        {"rope_parameters": ROPE | {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 16},
    ),
    "llama, yarn": (YARN, "Llama", {"rope_parameters": THEIR_YARN}),
    "llama, llama3": (LLAMA3 | {"rope_base": 500_000}, "Llama", {"rope_parameters": THEIR_LLAMA3}),
    "stablelm": ({"norm": "layer", "rope_fraction": 0.5}, "StableLm", {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}),
    "granite": (
        {"embedding_multiplier": 12.0, "residual_multiplier": 0.22, "output_multiplier": 0.25, "attention_scale": 0.1},
        "Granite",
        {"embedding_multiplier": 12.0, "residual_multiplier": 0.22, "logits_scaling": 4.0, "attention_multiplier": 0.1},
    ),
    "gemma2": (
        {"norm_placement": "sandwich", "activation": "geglu_tanh", "embedding_multiplier": 8.0, "attention_scale": 0.2, "kv_heads": 2},
        "Gemma2",
        {"head_dim": 16, "query_pre_attn_scalar": 25, "attn_logit_softcapping": None, "final_logit_softcapping": None,
         "num_key_value_heads": 2},
    ),
    "bloom": (
        {"norm": "layer", "activation": "gelu_tanh", "position": "alibi", "bias": True, "embedding_norm": True, "heads": 4,
         "tied_embeddings": True, "feed_forward": 256},
        "Bloom",
        {"tie_word_embeddings": True, "layer_norm_epsilon": 1e-6},
    ),
    "bloom, 6 heads": (
        {"norm": "layer", "activation": "gelu_tanh", "position": "alibi", "bias": True, "embedding_norm": True, "heads": 6, "width": 96,
         "tied_embeddings": True, "feed_forward": 384},
        "Bloom",
        {"hidden_size": 96, "num_attention_heads": 6, "tie_word_embeddings": True, "layer_norm_epsilon": 1e-6},
    ),
}  # fmt: skip


def compare(rank: int, names: list[str]) -> dict[str, tuple[float, float]]:
    """The largest difference of each model's logits, and the largest logit."""
    import transformers

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 1, 0)
    found = {}
    with started(Megatron(), seed=0):
        for name in names:
            fields, kind, settings = CASES[name]
            a = CausalDecoder(**{**SIZES, "tied_embeddings": False, "norm_epsilon": 1e-6, "initializer_std": 0.08, **fields})
            settings = {**THEIRS, "rms_norm_eps": 1e-6, "rope_parameters": ROPE, "attn_implementation": "eager", **settings}
            settings = {**settings, "layer_norm_eps": 1e-6}
            gpt = made(a)
            config = getattr(transformers, kind + "Config")(**settings)
            if kind == "Gemma2":
                weights = llama(gpt, a, norms=GEMMA_NORMS, shift=1.0)  # its norms multiply with 1 + weight
            else:
                weights = bloom(gpt, a) if kind == "Bloom" else llama(gpt, a)
            assert config.vocab_size == VOCAB
            found[name] = difference(gpt, loaded(getattr(transformers, kind + "ForCausalLM")(config), weights))
    return found


def check(found: dict[str, tuple[float, float]]) -> None:
    for name, (error, largest) in found.items():
        assert largest > 0.3, name
        assert error < 1e-5 * max(1.0, largest), f"{name}: {found}"


@pytest.mark.slow
def test_logits_are_hugging_faces(tmp_path: Path) -> None:
    check(on_ranks(compare, 1, tmp_path, groups=1, names=list(CASES))[0])


def test_a_mixture_with_latent_attention_gives_hugging_faces_logits(tmp_path: Path) -> None:
    check(on_ranks(compare, 1, tmp_path, groups=1, names=["deepseek_v2, yarn"])[0])
