"""What Hugging Face's models call a decoder's linear layers, and which rows of ours each of theirs has.

Megatron has queries, keys and values in one matrix, whose rows are those of one group of heads after another: its queries', its key's, its
value's; and of a gated feed-forward network the gate above the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Layer = tuple[str, "Rows | None"]  # a name of theirs, and which of our rows it has, in its order; None: all, as they are


@dataclass(frozen=True)
class Family:
    """Models whose names and order of rows are the same."""

    layer: str  # what a layer's names begin with, with its number as {}
    qkv: Literal["apart", "together"]
    names: Mapping[str, tuple[str, ...]]  # of our layer, without linear_: theirs
    transposed: bool = False  # their weights are [inputs, outputs] (GPT-2's Conv1D)


FAMILIES: dict[str, Family] = {
    "llama": Family(
        "model.layers.{}.",
        "apart",
        {
            "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "proj": ("self_attn.o_proj",),
            "fc1": ("mlp.gate_proj", "mlp.up_proj"),
            "fc2": ("mlp.down_proj",),
        },
    ),
    "gpt2": Family(
        "transformer.h.{}.",
        "together",
        {"qkv": ("attn.c_attn",), "proj": ("attn.c_proj",), "fc1": ("mlp.c_fc",), "fc2": ("mlp.c_proj",)},
        transposed=True,
    ),
}
"""Llama's names are also Mistral's, Qwen 2's and 3's, Granite's and others'."""


@dataclass(frozen=True)
class Sizes:
    """What decides the rows of a decoder's matrices."""

    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int


def family(a: Any) -> str | None:
    """That of a decoder component whose layers Hugging Face has under these names; None: it is of another."""
    from modelwright_plugins.architecture.decoder import CausalDecoder

    if not isinstance(a, CausalDecoder) or a.experts is not None or a.kv_rank is not None or a.mtp_layers:
        return None
    like = (a.norm, a.activation, a.position, a.norm_placement)
    if like == ("rms", "swiglu", "rope", "pre"):
        return "llama"
    return "gpt2" if like == ("layer", "gelu_tanh", "learned", "pre") and a.bias else None


def sizes(a: Any) -> Sizes:
    """Of a decoder component."""
    return Sizes(a.heads, a.kv_heads or a.heads, a.head_dim or a.width // a.heads, a.feed_forward_size)


def linear_layers(name: str, size: Sizes) -> dict[str, list[Layer]]:
    """Of our layer (qkv, proj, fc1, fc2), what theirs are called in the family, and which of our rows each has."""
    found, known = {}, FAMILIES[name]
    for ours, theirs in known.names.items():
        rows: list[Rows | None] = [None]
        if ours == "qkv":
            groups, queries = size.kv_heads, size.heads // size.kv_heads
            place = np.arange(groups * (queries + 2) * size.head_dim).reshape(groups, queries + 2, size.head_dim)
            parts = [place[:, :queries].ravel(), place[:, queries].ravel(), place[:, queries + 1].ravel()]
            rows = list(parts) if known.qkv == "apart" else [np.concatenate(parts)]
        elif len(theirs) == 2:
            rows = [np.arange(size.feed_forward), np.arange(size.feed_forward, 2 * size.feed_forward)]
        found[ours] = list(zip(theirs, rows, strict=True))
    return found


def of_module(chunk: Any) -> tuple[str | None, Sizes]:
    """`family` and `sizes` of a built decoder, from its Megatron config."""
    config = chunk.config
    size = Sizes(config.num_attention_heads, config.num_query_groups, config.kv_channels, config.ffn_hidden_size)
    position = getattr(chunk, "position_embedding_type", None)
    if position is None or config.num_moe_experts or config.multi_latent_attention or config.mtp_num_layers:
        return None, size
    if (config.normalization, config.gated_linear_unit, position) == ("RMSNorm", True, "rope"):
        return "llama", size
    plain = (config.normalization, config.gated_linear_unit, position, config.add_bias_linear)
    return ("gpt2" if plain == ("LayerNorm", False, "learned_absolute", True) else None), size
