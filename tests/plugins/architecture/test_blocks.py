"""Layers by their formulas written out slowly in float64: where norms stand, DeepNet, biases of ALiBi, windows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from hugging_face import BATCH, LENGTH, made, tokens
from ranks import joined, on_ranks

from modelwright_plugins.architecture._deepnorm import alpha, beta
from modelwright_plugins.architecture.decoder import CausalDecoder

SIZES: dict[str, Any] = {"layers": 2, "width": 24, "heads": 3, "feed_forward": 40, "initializer_std": 0.3}
CASES: dict[str, dict[str, Any]] = {
    "post": {"norm_placement": "post", "norm": "layer", "activation": "relu", "position": "none", "bias": True},
    "deepnorm": {"norm_placement": "deepnorm", "norm": "layer", "activation": "silu", "position": "alibi"},
    "sandwich": {"norm_placement": "sandwich", "activation": "geglu", "position": "alibi", "window": 5},
    "residual": {"residual_multiplier": 0.3, "activation": "squared_relu", "position": "none", "window": 1, "attention_scale": 2.0},
}
SLOPES = {3: [2**-4, 2**-8, 2**-2], 6: [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]}
"""By hand: of 3 heads, those of 2 and the first of 4; of 6, those of 4 and the first and third of 8."""


def slow(state: dict[str, Any], a: CausalDecoder, text: Any) -> Any:
    """Logits [batch, length, vocabulary] of int64 [batch, length], in float64."""
    import torch
    import torch.nn.functional as F

    w = {name: value.double() for name, value in state.items() if value is not None and hasattr(value, "double")}
    head, places = a.width // a.heads, torch.arange(text.shape[1])

    def norm(x: Any, name: str) -> Any:
        if a.norm == "layer":
            return F.layer_norm(x, (a.width,), w[name + ".weight"], w[name + ".bias"], a.norm_epsilon)
        return x / (x.square().mean(-1, keepdim=True) + a.norm_epsilon).sqrt() * w[name + ".weight"]

    def linear(x: Any, name: str) -> Any:
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if a.bias else y

    def attention(x: Any, name: str) -> Any:
        q, k, v = linear(x, name + ".linear_qkv").unflatten(-1, (a.heads, 3, head)).permute(3, 0, 2, 1, 4)
        scores = q @ k.transpose(-1, -2) * (a.attention_scale or head**-0.5)
        if a.position == "alibi":
            scores = scores - torch.tensor(SLOPES[a.heads])[:, None, None] * (places[:, None] - places)
        seen = (places <= places[:, None]) & (places[:, None] - places < (a.window or LENGTH))
        out = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
        return linear(out.transpose(1, 2).flatten(2), name + ".linear_proj")

    def feed_forward(x: Any, name: str) -> Any:
        y = linear(x, name + ".linear_fc1")
        if a.activation == "geglu":
            gate, up = y.chunk(2, -1)
            y = gate * (1 + torch.erf(gate / 2**0.5)) / 2 * up
        else:
            y = {"relu": y.clamp_min(0), "squared_relu": y.clamp_min(0) ** 2, "silu": y / (1 + (-y).exp())}[a.activation]
        return linear(y, name + ".linear_fc2")

    x = w["embedding.word_embeddings.weight"][text]
    for i in range(a.layers):
        at = f"decoder.layers.{i}."
        branches = ((attention, "self_attention", "input_layernorm", "post_attention_norm"),)
        branches += ((feed_forward, "mlp", "pre_mlp_layernorm", "post_mlp_norm"),)
        for f, name, before, after in branches:
            if a.norm_placement == "pre":
                x = x + a.residual_multiplier * f(norm(x, at + before), at + name)
            elif a.norm_placement == "sandwich":
                x = x + norm(f(norm(x, at + before), at + name), at + after)
            else:
                x = norm(x * ((2 * a.layers) ** 0.25 if a.norm_placement == "deepnorm" else 1) + f(x, at + name), at + after)
    if a.norm_placement in ("pre", "sandwich"):
        x = norm(x, "decoder.final_layernorm")
    return x @ w["embedding.word_embeddings.weight"].T


def compare(rank: int) -> dict[str, tuple[float, float]]:
    import torch

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 1, 0)
    found = {}
    with started(Megatron(), seed=0):
        for name, fields in CASES.items():
            a = CausalDecoder(**{**SIZES, **fields})
            gpt = made(a)
            with torch.no_grad():
                logits = gpt(tokens(), torch.arange(LENGTH).expand(BATCH, -1), None)
            expected = slow(gpt.state_dict(), a, tokens())
            found[name] = ((logits - expected).abs().max().item(), expected.abs().max().item())
    return found


def test_layers_are_their_formulas(tmp_path: Path) -> None:
    for name, (error, largest) in on_ranks(compare, 1, tmp_path, groups=1)[0].items():
        assert largest > 0.5, name
        assert error < 1e-5 * max(1.0, largest), name


def test_slopes_are_the_papers() -> None:
    from modelwright_plugins.engine.alibi import slopes

    assert slopes(8) == [2**-i for i in range(1, 9)]  # Press et al. 2021, section 3
    assert slopes(16)[:3] == [2**-0.5, 2**-1, 2**-1.5]  # there
    for heads, by_hand in SLOPES.items():
        assert slopes(heads) == by_hand


def test_deepnets_constants_and_initialisation() -> None:
    """Wang et al. 2022, table 1: of a decoder of 12 layers alpha is 24^(1/4), beta 96^(-1/4)."""
    assert alpha(12) == pytest.approx(24**0.25) and beta(12) == pytest.approx(96**-0.25)
    a = CausalDecoder(layers=12, width=64, heads=4, kv_heads=2, feed_forward=128, norm_placement="deepnorm", activation="gelu")
    xavier = (2 / (64 + 64)) ** 0.5
    small = (2 / (64 + 32)) ** 0.5
    rows = a.initial_std("decoder.layers.self_attention.linear_qkv.weight").flatten().tolist()
    assert rows == pytest.approx(([xavier] * 32 + [small] * 16 + [small * 96**-0.25] * 16) * 2)
    assert a.initial_std("decoder.layers.self_attention.linear_proj.weight") == pytest.approx(xavier * 96**-0.25)
    assert a.initial_std("decoder.layers.mlp.linear_fc1.weight") == pytest.approx((2 / (64 + 128)) ** 0.5 * 96**-0.25)
    assert a.initial_std("decoder.layers.post_mlp_norm.weight") is None
    assert a.initial_std("embedding.word_embeddings.weight") == 0.02
