"""model.json names an architecture by its registered name, and nothing in it is imported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

CARD = ModelCard(CausalDecoder(layers=3, kv_heads=None, qk_norm=True), vocab_size=300, sequence_length=64, end_of_document=0, seed=1)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    CARD.write(tmp_path / "model.json", discover().registry)
    assert json.loads((tmp_path / "model.json").read_text())["architecture"]["name"] == "causal_decoder"
    assert ModelCard.read(tmp_path / "model.json", discover().registry) == CARD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "os:system", "fields": {}}, "no architecture named 'os:system'"),
        ({"name": "causal_decoder", "fields": {"layerz": 3}}, "architecture.layerz: there is no such parameter; did you mean 'layers'"),
        ({"name": "causal_decoder", "fields": {"layers": "os.system"}}, "architecture.layers: 'os.system' won't do; expected int"),
        ({"name": "causal_decoder", "fields": {"layers": {"_target_": "os.system"}}}, "architecture.layers: .* won't do; expected int"),
        ({"name": "causal_decoder", "fields": ["layers"]}, "is not the model.json of a checkpoint"),
        ({"name": {"_target_": "os.system"}, "fields": {}}, "no architecture named"),
        ({"wrong": 1}, "is not the model.json of a checkpoint"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = tmp_path / "model.json"
    CARD.write(file, discover().registry)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architecture": change}))
    with pytest.raises(ModelwrightError, match=said):
        ModelCard.read(file, discover().registry)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is not the model.json of a checkpoint"),
        ("null", "is not the model.json of a checkpoint"),
        ('{"architecture": {"name": "causal_decoder", "fields": {}}}', "is not the model.json of a checkpoint"),
        ({"vocab_size": "300"}, "vocab_size is '300'; expected an int"),
        ({"seed": {"_target_": "os.system"}}, "seed is {'_target_': 'os.system'}; expected an int"),
        ({"sede": 1}, "sede is 1; expected an int; did you mean 'seed'"),
    ],
)
def test_another_form_is_told(tmp_path: Path, text: str | dict[str, object], said: str) -> None:
    file = tmp_path / "model.json"
    CARD.write(file, discover().registry)
    file.write_text(text if isinstance(text, str) else json.dumps(json.loads(file.read_text()) | text))
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
        Vocabulary.of(tmp_path, tmp_path, [])


def test_special_tokens_that_only_one_of_them_tells_part_no_models() -> None:
    """An imported BERT tells [CLS] and [SEP]; training that goes on from it may use [MASK] too, but no number for another token."""
    known = dataclasses.replace(CARD, special_tokens={"[CLS]": 2, "[SEP]": 3})
    for told, apart in (({"[MASK]": 4, "[CLS]": 2}, False), ({"[CLS]": 5}, True), ({"[MASK]": 3}, True), ({}, False)):
        found = known.difference(dataclasses.replace(CARD, special_tokens=told))
        assert bool(found) == apart and (not apart or "its special tokens are" in str(found))
