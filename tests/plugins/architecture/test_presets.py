"""Presets have the parameters that were published: exactly where the number is public, and those of Hugging Face's model of the
published config, both on torch's meta device."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import on_ranks

from modelwright.assemble import assemble
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets

LLAMA = {"vocab_size": 32_000, "tie_word_embeddings": False}
LLAMA3 = {"vocab_size": 128_256, "num_key_value_heads": 8, "tie_word_embeddings": False}
QWEN = {"vocab_size": 151_936, "tie_word_embeddings": True}
QWEN_LARGE = {"vocab_size": 152_064, "tie_word_embeddings": False}
QWEN3 = {"vocab_size": 151_936, "num_key_value_heads": 8, "head_dim": 128}


def shape(layers: int, width: int, heads: int, feed_forward: int, **others: Any) -> dict[str, Any]:
    return {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": feed_forward, **others}


def gpt2(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {"n_layer": layers, "n_embd": width, "n_head": heads, "vocab_size": 50_257}


# parameters of the published checkpoint, and its config in Hugging Face's words
EXACT: dict[str, tuple[int, str, dict[str, Any]]] = {
    "gpt2": (124_439_808, "GPT2", gpt2(12, 768, 12)),
    "gpt2_medium": (354_823_168, "GPT2", gpt2(24, 1024, 16)),
    "gpt2_large": (774_030_080, "GPT2", gpt2(36, 1280, 20)),
    "gpt2_xl": (1_557_611_200, "GPT2", gpt2(48, 1600, 25)),
    "llama1_7b": (6_738_415_616, "Llama", shape(32, 4096, 32, 11008, **LLAMA)),
    "llama1_13b": (13_015_864_320, "Llama", shape(40, 5120, 40, 13824, **LLAMA)),
    "llama1_33b": (32_528_943_616, "Llama", shape(60, 6656, 52, 17920, **LLAMA)),
    "llama1_65b": (65_285_660_672, "Llama", shape(80, 8192, 64, 22016, **LLAMA)),
    "llama2_7b": (6_738_415_616, "Llama", shape(32, 4096, 32, 11008, **LLAMA)),
    "llama2_13b": (13_015_864_320, "Llama", shape(40, 5120, 40, 13824, **LLAMA)),
    "llama2_70b": (68_976_648_192, "Llama", shape(80, 8192, 64, 28672, num_key_value_heads=8, **LLAMA)),
    "llama3_8b": (8_030_261_248, "Llama", shape(32, 4096, 32, 14336, **LLAMA3)),
    "llama3_70b": (70_553_706_496, "Llama", shape(80, 8192, 64, 28672, **LLAMA3)),
    "llama3_405b": (405_853_388_800, "Llama", shape(126, 16384, 128, 53248, **LLAMA3)),
    "llama32_1b": (1_235_814_400, "Llama", shape(16, 2048, 32, 8192, **LLAMA3 | {"tie_word_embeddings": True})),
    "llama32_3b": (3_212_749_824, "Llama", shape(28, 3072, 24, 8192, **LLAMA3 | {"tie_word_embeddings": True})),
    "mistral_7b": (7_241_732_096, "Mistral", shape(32, 4096, 32, 14336, num_key_value_heads=8, **LLAMA)),
    "mixtral_8x7b": (46_702_792_704, "Mixtral", shape(32, 4096, 32, 14336, num_key_value_heads=8, num_local_experts=8, **LLAMA)),
    "qwen25_0_5b": (494_032_768, "Qwen2", shape(24, 896, 14, 4864, num_key_value_heads=2, **QWEN)),
    "qwen25_1_5b": (1_543_714_304, "Qwen2", shape(28, 1536, 12, 8960, num_key_value_heads=2, **QWEN)),
    "qwen25_3b": (3_085_938_688, "Qwen2", shape(36, 2048, 16, 11008, num_key_value_heads=2, **QWEN)),
    "qwen25_7b": (7_615_616_512, "Qwen2", shape(28, 3584, 28, 18944, num_key_value_heads=4, **QWEN_LARGE)),
    "qwen25_14b": (14_770_033_664, "Qwen2", shape(48, 5120, 40, 13824, num_key_value_heads=8, **QWEN_LARGE)),
    "qwen25_32b": (32_763_876_352, "Qwen2", shape(64, 5120, 40, 27648, num_key_value_heads=8, **QWEN_LARGE)),
    "qwen25_72b": (72_706_203_648, "Qwen2", shape(80, 8192, 64, 29568, num_key_value_heads=8, **QWEN_LARGE)),
    "qwen3_0_6b": (596_049_920, "Qwen3", shape(28, 1024, 16, 3072, tie_word_embeddings=True, **QWEN3)),
    "qwen3_1_7b": (1_720_574_976, "Qwen3", shape(28, 2048, 16, 6144, tie_word_embeddings=True, **QWEN3)),
    "qwen3_4b": (4_022_468_096, "Qwen3", shape(36, 2560, 32, 9728, tie_word_embeddings=True, **QWEN3)),
    "qwen3_8b": (8_190_735_360, "Qwen3", shape(36, 4096, 32, 12288, tie_word_embeddings=False, **QWEN3)),
    "qwen3_14b": (14_768_307_200, "Qwen3", shape(40, 5120, 40, 17408, tie_word_embeddings=False, **QWEN3)),
    "qwen3_32b": (32_762_123_264, "Qwen3", shape(64, 5120, 64, 25600, tie_word_embeddings=False, **QWEN3)),
    "deepseek_v2_lite": (
        15_706_484_224,
        "DeepseekV2",
        shape(
            27, 2048, 16, 10944, vocab_size=102_400, q_lora_rank=None, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64,
            v_head_dim=128, n_routed_experts=64, n_shared_experts=2, moe_intermediate_size=1408, first_k_dense_replace=1,
            num_experts_per_tok=6, tie_word_embeddings=False,
        ),
    ),
    "bloom_176b": (176_247_271_424, "Bloom", {"n_layer": 70, "hidden_size": 14336, "n_head": 112, "vocab_size": 250_880}),
}  # fmt: skip

# what table 2.1 of Brown et al. 2020 says, rounded: two of its models are 2 % off its own sizes
ROUNDED = {
    "gpt3_125m": 125e6, "gpt3_350m": 350e6, "gpt3_760m": 760e6, "gpt3_1_3b": 1.3e9, "gpt3_2_7b": 2.7e9, "gpt3_6_7b": 6.7e9,
    "gpt3_13b": 13.0e9, "gpt3_175b": 175.0e9, "mup_cerebras_111m": 111e6,
}  # fmt: skip


def architecture(name: str) -> Any:
    bound = assemble(composed(["recipe=pretrain/quickstart", f"architecture={name}"]), discover().registry)
    return next(b.parts["architecture"] for b in bound if "architecture" in b.parts)


def count(rank: int, named: dict[str, tuple[Any, int]]) -> dict[str, tuple[int, int]]:
    """Of each preset, all parameters and those that a token is multiplied by or looks up, on meta modules."""
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.forecast import sizes
    from modelwright_plugins.engine.memory import is_expert
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16

    found = {}
    for name, (a, vocab) in named.items():
        parts = {"precision": BF16(), "kernel": Torch(), "attention": Native(), "vocab_size": vocab, "sequence_length": 1024}
        each = sizes(a, Megatron(), 0, **parts)
        used = sum(n * a.experts_per_token // a.experts if is_expert(key) else n for key, n in each.items())
        found[name] = (sum(each.values()), used)
    return found


def hugging_face(rank: int, names: list[str]) -> dict[str, int]:
    import torch
    import transformers

    found = {}
    for name in names:
        _, kind, settings = EXACT[name]
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind + "Config")(**settings))
        found[name] = sum(p.numel() for p in model.parameters())
    return found


def counted(folder: Path, names: list[str]) -> dict[str, tuple[int, int]]:
    named = {name: (architecture(name), EXACT[name][2]["vocab_size"] if name in EXACT else 50_257) for name in names}
    found: dict[str, tuple[int, int]] = on_ranks(count, 1, folder, groups=1, named=named)[0]
    return found


def check(found: dict[str, tuple[int, int]]) -> None:
    for name, (total, _) in found.items():
        if name in EXACT:
            assert total == EXACT[name][0], name
        else:
            assert total == pytest.approx(ROUNDED[name], rel=0.02), name


@pytest.mark.slow
def test_every_preset_has_the_published_parameters(tmp_path: Path) -> None:
    families = ("gpt2", "gpt3", "llama", "mistral", "mixtral", "qwen", "deepseek", "bloom", "mup")
    names = [name for name in presets("architecture") if name.startswith(families)]
    many = ["mixtral_8x7b", "deepseek_v2_lite"]  # they have thousands of modules
    found = counted(tmp_path / "dense", [name for name in names if name not in many]) | counted(tmp_path / "many", many)
    assert set(found) == {*EXACT, *ROUNDED}
    check(found)
    assert found["mixtral_8x7b"][1] == 12_879_925_248  # Jiang et al. 2024: 13B active parameters
    assert found["deepseek_v2_lite"][1] == pytest.approx(2.66e9, rel=0.01)  # theirs: 2.4B without the embedding
    theirs = on_ranks(hugging_face, 1, tmp_path / "theirs", groups=1, names=list(EXACT))[0]
    assert theirs == {name: total for name, (total, _, _) in EXACT.items()}
