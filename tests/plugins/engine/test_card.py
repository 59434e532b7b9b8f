"""model.json names an architecture by its registered name, and nothing in it is imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.engine.card import ModelCard

CARD = ModelCard(CausalDecoder(layers=3, kv_heads=None, qk_norm=True), vocab_size=300, sequence_length=64, end_of_document=0, seed=1)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    CARD.write(tmp_path / "model.json", discover().registry)
    assert json.loads((tmp_path / "model.json").read_text())["architecture"]["name"] == "causal_decoder"
    assert ModelCard.read(tmp_path / "model.json", discover().registry) == CARD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "os:system", "fields": {}}, "no architecture named 'os:system'"),
        ({"name": "causal_decoder", "fields": {"layerz": 3}}, "no parameter 'layerz'; did you mean 'layers'"),
        ({"wrong": 1}, "is not the model.json of a checkpoint"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = tmp_path / "model.json"
    CARD.write(file, discover().registry)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architecture": change}))
    with pytest.raises(ModelwrightError, match=said):
        ModelCard.read(file, discover().registry)


def test_differences_are_named() -> None:
    from dataclasses import replace

    other = replace(CARD, architecture=replace(CARD.architecture, layers=4, dropout=0.1))
    assert CARD.difference(replace(CARD, architecture=replace(CARD.architecture, dropout=0.1))) is None
    assert CARD.difference(other) == "its architecture.layers is 4, not 3"
    assert CARD.difference(replace(CARD, vocab_size=301)) == "it has 301 tokens, not 300"


def test_absent_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match=r"model\.json is not the model\.json of a checkpoint"):
        ModelCard.read(tmp_path / "model.json", discover().registry)
    with pytest.raises(ModelwrightError, match=r"shards\.json does not tell"):
        ModelCard.of(CausalDecoder(), tmp_path, 8, 1)
