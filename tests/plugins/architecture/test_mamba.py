"""Mamba-2 and its hybrids: logits of Hugging Face's models, documents kept apart, initial weights, layouts, published sizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from hugging_face import VOCAB, attention, difference, feed_forward, loaded, made
from ranks import joined, on_ranks

from modelwright.assemble import assemble
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.architecture.mamba import Mamba
from modelwright_plugins.catalogue import presets
from modelwright_plugins.parallel.megatron import Megatron

LENGTH = 150  # more than two chunks
MIXER: dict[str, Any] = {"width": 64, "heads": 4, "head_dim": 32, "state": 16, "initializer_std": 0.1}
ATTENTION: dict[str, Any] = {"attention_heads": 8, "kv_heads": 2, "attention_head_dim": 16, "feed_forward": 96, "tied_embeddings": False}
THEIRS: dict[str, Any] = {"hidden_size": 64, "vocab_size": VOCAB, "attn_implementation": "eager"}
THEIR_ATTENTION: dict[str, Any] = {
    "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 96, "tie_word_embeddings": False,
    "max_position_embeddings": 256,
}  # fmt: skip

# ours, the class of theirs, its config
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "mamba2": (
        {"layers": 3},
        "Mamba2",
        {"num_heads": 4, "head_dim": 32, "state_size": 16, "n_groups": 1, "num_hidden_layers": 3, "tie_word_embeddings": True},
    ),
    "mamba2, groups, untied": (
        {"layers": 2, "groups": 2, "convolution": 3, "tied_embeddings": False},
        "Mamba2",
        {"num_heads": 4, "head_dim": 32, "state_size": 16, "n_groups": 2, "num_hidden_layers": 2, "conv_kernel": 3},
    ),
    "nemotron_h": (
        {"layers": 7, "pattern": "M-M*-M-", "groups": 2, **ATTENTION},
        "NemotronH",
        {"mamba_num_heads": 4, "mamba_head_dim": 32, "ssm_state_size": 16, "n_groups": 2, "head_dim": 16, **THEIR_ATTENTION,
         "layers_block_type": ["linear_attention", "mlp", "linear_attention", "full_attention", "mlp", "linear_attention", "mlp"],
         "time_step_min": 1e-12},  # theirs clips Δ there
    ),
    "bamba": (
        {"layers": 6, "pattern": "M-*-", "position": "rope", "rope_fraction": 0.5, "activation": "swiglu", **ATTENTION,
         "attention_head_dim": None},
        "Bamba",
        {"mamba_n_heads": 4, "mamba_d_state": 16, "num_hidden_layers": 3, "attn_layer_indices": [1], **THEIR_ATTENTION},
    ),
}  # fmt: skip


def mixer(ours: Any, mine: str, layer: str, a: Mamba) -> dict[str, Any]:
    """Under Hugging Face's names, whose rows are all gates, all values, B, C, all Δ."""
    import torch

    z, x, dt = ours[mine + "in_proj.weight"].unflatten(0, (a.heads, -1)).split([a.head_dim, a.head_dim, 1], 1)

    def both(name: str) -> Any:
        return [each.flatten(0, 1) for each in ours[mine + name].unflatten(0, (a.groups, 2, -1)).unbind(1)]

    theirs = {f"{layer}{name}": ours[mine + name] for name in ("A_log", "D", "dt_bias", "out_proj.weight")}
    theirs[layer + "in_proj.weight"] = torch.cat([z.flatten(0, 1), x.flatten(0, 1), *both("bc_proj"), dt.flatten(0, 1)])
    theirs[layer + "conv1d.weight"] = torch.cat([ours[mine + "convolution"], *both("bc_convolution")])[:, None]
    theirs[layer + "conv1d.bias"] = torch.cat([ours[mine + "convolution_bias"], *both("bc_convolution_bias")])
    return theirs | {layer + "norm.weight": ours[mine + "norm"]}


def their_weights(gpt: Any, a: Mamba, kind: str) -> dict[str, Any]:
    ours = gpt.state_dict()
    top = "backbone." if kind == "Mamba2" else "model."
    words = ours["embedding.word_embeddings.weight"]
    theirs = {top + ("embed_tokens" if kind == "Bamba" else "embeddings") + ".weight": words}
    theirs["lm_head.weight"] = words if a.tied_embeddings else ours["output_layer.weight"]
    theirs[top + ("final_layernorm" if kind == "Bamba" else "norm_f") + ".weight"] = ours["decoder.final_layernorm.weight"]
    heads = type(
        "Heads", (), {"heads": a.queries, "kv_heads": a.kv_heads, "head_dim": a.attention_head_dim, "width": a.width, "kv_rank": None}
    )
    for i, letter in enumerate(a.kinds):
        mine = f"decoder.layers.{i}."
        place, first = (i // 2, letter != "-") if kind == "Bamba" else (i, True)
        layer = f"{top}layers.{place}."
        norms = ("input_layernorm", "pre_ff_layernorm") if kind == "Bamba" else ("norm", "norm")
        own = "pre_mlp_layernorm" if letter == "-" else "input_layernorm"
        theirs[f"{layer}{norms[not first]}.weight"] = ours[f"{mine}{own}.weight"]
        if letter == "M":
            theirs |= mixer(ours, mine + "self_attention.", layer + ("mamba." if kind == "Bamba" else "mixer."), a)
        elif letter == "*":
            theirs |= attention(ours, mine + "self_attention.", layer + ("self_attn." if kind == "Bamba" else "mixer."), heads)
        elif kind == "Bamba":
            theirs |= feed_forward(ours, mine + "mlp.", layer + "feed_forward.", a)
        else:
            theirs |= {
                f"{layer}mixer.{to}.weight": ours[f"{mine}mlp.{of}.weight"]
                for of, to in (("linear_fc1", "up_proj"), ("linear_fc2", "down_proj"))
            }
    return theirs


def strong(gpt: Any, spread: float = 1.0) -> Any:
    """States that matter: steps Δ of about 0.1 to 1, and biases, gains and filters that are not what they begin as."""
    import torch

    random = torch.Generator().manual_seed(5)
    for name, parameter in gpt.named_parameters():
        if name.endswith("dt_bias"):
            parameter.data = torch.empty_like(parameter).uniform_(-2, 0.5, generator=random)
        elif name.endswith(("A_log", ".D", "convolution", "convolution_bias", "norm.weight", ".norm")):
            parameter.data += spread * 0.5 * torch.randn(parameter.shape, generator=random)
    return gpt


def compare(rank: int) -> dict[str, tuple[float, float]]:
    """The largest difference of each model's logits, and the largest logit."""
    import transformers

    from modelwright_plugins.engine.start import started

    joined(rank, 1)
    found = {}
    with started(Megatron(), seed=0):
        for name, (fields, kind, settings) in CASES.items():
            a = Mamba(**MIXER | fields)
            gpt = strong(made(a, length=LENGTH))
            config = getattr(transformers, kind + "Config")(**THEIRS | settings)
            theirs = loaded(getattr(transformers, kind + "ForCausalLM")(config), their_weights(gpt, a, kind))
            found[name] = difference(gpt, theirs, LENGTH)
    return found


def test_logits_are_hugging_faces(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    assert set(found) == set(CASES)
    for name, (error, largest) in found.items():
        assert largest > 1, (name, largest)
        assert error < 1e-5 * largest, (name, error, largest)


def published(layers: int, width: int, heads: int) -> dict[str, Any]:
    """The published config in Hugging Face's words; its 50,277 tokens are padded."""
    fixed = {"head_dim": 64, "state_size": 128, "n_groups": 1, "vocab_size": 50_288, "tie_word_embeddings": True}
    return {"num_hidden_layers": layers, "hidden_size": width, "num_heads": heads, **fixed}


# parameters of the published checkpoint, and its config in Hugging Face's words
PUBLISHED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "mamba2_130m": (128_989_632, "Mamba2", published(24, 768, 24)),
    "mamba2_370m": (368_346_624, "Mamba2", published(48, 1024, 32)),
    "mamba2_780m": (780_161_280, "Mamba2", published(48, 1536, 48)),
    "mamba2_1_3b": (1_343_757_312, "Mamba2", published(48, 2048, 64)),
    "mamba2_2_7b": (2_702_599_680, "Mamba2", published(64, 2560, 80)),
    "nemotron_h_8b": (
        8_100_852_736,
        "NemotronH",
        {"hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-", "vocab_size": 131_072},
    ),
}


def count(rank: int, named: dict[str, Mamba]) -> dict[str, int]:
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.forecast import sizes
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import BF16

    parts = {"precision": BF16(), "kernel": Torch(), "attention": Native(), "sequence_length": 1024}
    return {
        name: sum(sizes(preset, Megatron(), 0, vocab_size=PUBLISHED[name][2]["vocab_size"], **parts).values())
        for name, preset in named.items()
    }


def count_theirs(rank: int) -> dict[str, int]:
    """Of Hugging Face's models of the published configs, on torch's meta device."""
    import torch
    import transformers

    found = {}
    for name, (_, kind, settings) in PUBLISHED.items():
        with torch.device("meta"):
            model = getattr(transformers, kind + "ForCausalLM")(getattr(transformers, kind + "Config")(**settings))
        found[name] = sum(p.numel() for p in model.parameters())
    return found


@pytest.mark.slow
def test_presets_have_the_published_parameters(tmp_path: Path) -> None:
    named = {}
    for name in PUBLISHED:
        bound = assemble(composed(["recipe=pretrain/quickstart", f"architecture={name}"]), discover().registry)
        named[name] = next(b.parts["architecture"] for b in bound if "architecture" in b.parts)
    expected = {name: total for name, (total, _, _) in PUBLISHED.items()}
    assert on_ranks(count, 1, tmp_path / "ours", groups=1, named=named)[0] == expected
    assert on_ranks(count_theirs, 1, tmp_path / "theirs", groups=1)[0] == expected


def test_every_preset_is_counted() -> None:
    assert {name for name in presets("architecture") if name.startswith(("mamba2", "nemotron"))} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pattern": "MX"}, r"pattern is 'MX'; it is made of M for Mamba-2, \* for attention, - for feed-forward"),
        ({"pattern": ""}, "pattern is ''"),
        ({"state": 0}, "state is 0; it is 1 or more"),
        ({"groups": 5}, "heads 24 is not a multiple of groups 5"),
        ({"pattern": "M*", "attention_heads": 5}, "width 768 is not a multiple of attention_heads 5; give attention_head_dim"),
        ({"pattern": "M*", "kv_heads": 5}, "attention_heads 24 is not a multiple of kv_heads 5"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_bad_shapes_are_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Mamba(**fields)


def test_a_layout_that_does_not_fit_is_told() -> None:
    assert Mamba().problems(Megatron(tensor=8, context=2)) == []
    (groups,) = Mamba(groups=3).problems(Megatron(tensor=2))
    assert groups == "parallel.tensor=2 and architecture.groups=3: one must divide the other"
    (heads,) = Mamba(pattern="M*", attention_heads=6).problems(Megatron(tensor=4))
    assert heads == "parallel.tensor=4 does not divide architecture.attention_heads=6"
