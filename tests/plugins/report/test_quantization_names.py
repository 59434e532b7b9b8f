"""The names of layers in the figure of a quantized model: short, and no two layers alike."""

from __future__ import annotations

from modelwright_plugins.report.quantization import _short

NAMES = {
    "decoder.layers.3.self_attention.linear_proj": "3 proj",
    "decoder.layers.3.cross_attention.linear_proj": "3 cross proj",
    "encoder.layers.3.self_attention.linear_proj": "encoder 3 proj",
    "decoder.layers.3.mlp.linear_fc1": "3 fc1",
    "decoder.layers.3.mlp.shared_experts.linear_fc1": "3 shared fc1",
    "decoder.layers.3.mlp.experts.local_experts.12.linear_fc1": "3 expert 12 fc1",
}


def test_no_two_layers_have_the_same_name() -> None:
    assert {name: _short(name) for name in NAMES} == NAMES
