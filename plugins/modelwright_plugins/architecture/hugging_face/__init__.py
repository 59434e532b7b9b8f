"""What Hugging Face's models call our weights and settings: a table an architecture, read both ways, for whole models and for adapters.

Megatron has queries, keys and values in one matrix, whose rows are those of one group of heads after another: its queries', its key's, its
value's; and of a gated feed-forward network the gate above the other half. `_table.py` says what a table is made of.
"""

from __future__ import annotations

from typing import Any

from modelwright_plugins.architecture.hugging_face import gpt2, llama
from modelwright_plugins.architecture.hugging_face._config import (
    MODELS,
    component_of,
    config_of,
    differences,
    effective,
    other_architecture,
)
from modelwright_plugins.architecture.hugging_face._folder import CONFIG, is_folder, read_folder, stamp
from modelwright_plugins.architecture.hugging_face._places import Place, layered, place, plain
from modelwright_plugins.architecture.hugging_face._table import Family, Names, Rows, Sizes, Weight

__all__ = [
    "CONFIG", "FAMILIES", "MODELS", "Family", "Layer", "Names", "Place", "Rows", "Sizes", "Weight", "component_of", "config_of",
    "differences", "effective", "family", "is_folder", "layered", "linear_layers", "of_module", "other_architecture", "place", "plain",
    "read_folder", "sizes", "stamp",
]  # fmt: skip

Layer = tuple[str, "Rows | None"]  # a name of theirs, and which of our rows it has, in its order; None: all, as they are

FAMILIES: dict[str, Names] = {"llama": llama.NAMES, "gpt2": gpt2.NAMES}
"""Names of decoders that adapters are exchanged under. Llama's are also Mistral's, Qwen 2's and 3's, Granite's and others'."""


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
    """Of a component."""
    found = effective(a)
    head = found.get("head_dim") or a.width // a.heads
    return Sizes(a.heads, found.get("kv_heads") or a.heads, head, found["feed_forward"])


def linear_layers(name: str, size: Sizes) -> dict[str, list[Layer]]:
    """Of our layer (qkv, proj, fc1, fc2), what theirs are called in the family, and which of our rows each has."""
    found: dict[str, list[Layer]] = {}
    counts = {"qkv": (size.heads + 2 * size.kv_heads) * size.head_dim, "fc1": 2 * size.feed_forward}
    for weight in FAMILIES[name].weights:
        _, linear, ours = weight.ours.partition(".linear_")
        if linear:
            found[ours] = list(zip(weight.theirs, weight.parts(size, counts.get(ours, 0)), strict=True))
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
