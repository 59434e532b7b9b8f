"""What a decoder's parameters must be, each and together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright_plugins.architecture.decoder import CausalDecoder

COUNTS = (
    "layers", "width", "heads", "kv_heads", "head_dim", "feed_forward", "positions", "rope_base", "rope_original", "window", "kv_rank",
    "q_rank", "rope_head_dim", "value_head_dim", "experts", "experts_per_token", "expert_feed_forward", "shared_expert_feed_forward",
    "mup_width",
)  # fmt: skip


def bad_values(a: CausalDecoder) -> Iterator[str]:
    """What is wrong with a decoder, one line each."""
    for name in COUNTS:
        if getattr(a, name) is not None and getattr(a, name) < 1:
            yield f"{name} is {getattr(a, name)}; it is 1 or more"
    for name in ("aux_loss", "z_loss", "first_dense_layers", "mtp_layers"):
        if getattr(a, name) < 0:
            yield f"{name} is {getattr(a, name)}; it is 0 or more"
    if not 0 <= a.dropout < 1:
        yield f"dropout is {a.dropout}; it is from 0 up to below 1"
    if a.width % a.heads and a.head_dim is None:
        yield f"width {a.width} is not a multiple of heads {a.heads}; give head_dim or change one"
    if a.heads % (a.kv_heads or a.heads):
        yield f"heads {a.heads} is not a multiple of kv_heads {a.kv_heads}"
    if a.norm_placement != "pre" and a.residual_multiplier != 1:
        yield f"residual_multiplier is {a.residual_multiplier}; it is 1 unless norm_placement is pre, and that is {a.norm_placement}"
    plain = {"norm_placement": ("pre",), "position": ("rope", "none"), "embedding_norm": (False,), "embedding_multiplier": (1,)}
    for name, values in plain.items():
        if a.mtp_layers and getattr(a, name) not in values:
            yield f"{name} is {getattr(a, name)}; with mtp_layers it is {' or '.join(map(str, values))}"
    yield from _positions(a)
    yield from _latent(a)
    yield from _experts(a)


def _positions(a: CausalDecoder) -> Iterator[str]:
    if a.rope_scaling != "none" and a.position != "rope":
        yield f"rope_scaling is {a.rope_scaling}; it is none unless position is rope, and that is {a.position}"
    if not 0 < a.rope_fraction <= 1:
        yield f"rope_fraction is {a.rope_fraction}; it is above 0 and up to 1"
    if (a.rope_scaling == "none") != (a.rope_factor == 1):
        yield f"rope_factor is {a.rope_factor}; it is above 1 with a rope_scaling and 1 without, and that is {a.rope_scaling}"
    if a.rope_factor < 1:
        yield f"rope_factor is {a.rope_factor}; it is 1 or more"
    if a.rope_scaling in ("yarn", "llama3") and a.rope_original is None:
        yield f"rope_original is null; with rope_scaling={a.rope_scaling} it is the length of the texts before"


def _latent(a: CausalDecoder) -> Iterator[str]:
    """Multi-head latent attention has positions of its own kind, and every head its own keys and values."""
    if a.kv_rank is None:
        if a.q_rank is not None or a.value_head_dim is not None:
            name = "q_rank" if a.q_rank is not None else "value_head_dim"
            yield f"{name} is {getattr(a, name)}; it is for MLA, which wants kv_rank"
        return
    fixed = {"position": "rope", "qk_norm": False, "attention_scale": None, "rope_fraction": 1.0, "qkv_bias": None, "bias": False}
    for name, value in fixed.items():
        if getattr(a, name) != value:
            yield f"{name} is {getattr(a, name)}; with MLA (kv_rank) it is {value}"
    if a.kv_heads not in (None, a.heads):
        yield f"kv_heads is {a.kv_heads}; with MLA (kv_rank) it is null: each head has its own keys"
    if a.rope_head_dim % 2:
        yield f"rope_head_dim is {a.rope_head_dim}; it is even"


def _experts(a: CausalDecoder) -> Iterator[str]:
    if a.experts is None:
        for name, nothing in {"expert_feed_forward": None, "shared_expert_feed_forward": None, "first_dense_layers": 0}.items():
            if getattr(a, name) != nothing:
                yield f"{name} is {getattr(a, name)}; it wants experts"
        return
    if a.experts_per_token > a.experts:
        yield f"experts_per_token is {a.experts_per_token}; it is at most experts, {a.experts}"
    if a.bias:
        yield "bias is True; with experts it is False (Megatron's experts have none); qkv_bias may be true"
    if a.experts_per_token == 1 and a.router == "softmax_chosen":
        yield "router is softmax_chosen; with experts_per_token=1 that is 1 always and learns nothing: softmax_all or sigmoid"
    if a.router == "softmax_chosen" and a.router_scale != 1:
        yield f"router_scale is {a.router_scale}; with router=softmax_chosen it is 1"
    if a.first_dense_layers >= a.layers:
        yield f"first_dense_layers is {a.first_dense_layers}; it is less than layers, {a.layers}"
    if a.norm_placement == "deepnorm":
        yield "norm_placement is deepnorm; with experts it is pre, post or sandwich (DeepNet's initialisation knows no experts)"
