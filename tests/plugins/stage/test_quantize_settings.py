"""The stage quantize: which rows it looks at, and what it refuses before it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modelwright_plugins.stage.quantize import Quantize

sys.path.insert(0, str(Path(__file__).parent))
from test_quantize import LENGTH, SEED, _rows, _shards


def test_rows_are_as_long_as_is_said_and_no_longer_than_the_model_was_trained_with(tmp_path):
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import TokenShards
    from modelwright_plugins.stage._quantize import stream_rows, training_rows

    _shards(tmp_path / "token_shards")
    job = Job(tmp_path, tmp_path, SEED, {}, {TokenShards: TokenShards(tmp_path / "token_shards")}, discover())
    card: Any = SimpleNamespace(sequence_length=LENGTH)
    for length, width in ((8, 9), (2048, LENGTH + 1)):
        stage = Quantize(length=length, rows=3)
        assert training_rows(stage, job, card).shape == (3, width)
        assert torch.equal(stream_rows(stage, job, card, "held_out", 5), _rows(8).flatten()[: 5 * width].view(5, width))


def test_what_can_not_be():
    from modelwright_plugins.conformance.stage import default_parts
    from modelwright_plugins.kernel.transformer_engine import TransformerEngine
    from modelwright_plugins.quantizer.absmax import Absmax

    with pytest.raises(ValueError, match="rows is 0; it is 1 or more"):
        Quantize(rows=0)
    assert "quantizer=none leaves the model as it is" in Quantize().problems(default_parts(Quantize.uses))[0]
    parts = default_parts(Quantize.uses) | {"kernel": TransformerEngine(), "quantizer": Absmax()}
    assert any("kernel=transformer_engine has others; kernel=torch" in line for line in Quantize().problems(parts))
    assert Quantize(data="examples").takes[1].__name__ == "Examples"
