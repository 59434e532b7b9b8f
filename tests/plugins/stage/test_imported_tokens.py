"""Tokens, settings of replies and the licence of a model that was taken in go out again as they were."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from exported_models import tokenizer

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.architecture.hugging_face import config_of
from modelwright_plugins.artifacts import Checkpoint, Tokenizer
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.hugging_face_in import Incoming
from modelwright_plugins.stage import _exported, _imported
from modelwright_plugins.stage._origin import Origin, comes_from

TINY: dict[str, Any] = {"width": 8, "heads": 2}
T5 = EncoderDecoder(encoder_layers=1, decoder_layers=1, **TINY)
LLAMA = CausalDecoder(layers=1, **TINY)
BERT = Encoder(layers=1, positions=8, **TINY)
FLAN = {"eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 0}  # as in google/flan-t5-small
SAMPLED = {"bos_token_id": 5, "eos_token_id": [7, 6], "do_sample": True, "temperature": 0.6, "top_p": 0.9}  # as in Llama-3's Instruct


def folder(out: Path, architecture: Any, tokens: dict[str, Any], generation: dict[str, Any] | None = None) -> Path:
    """A model of Hugging Face's without its weights."""
    tokenizer(out)
    (out / "config.json").write_text(json.dumps(config_of(architecture, vocab_size=203, sequence_length=8)[1] | tokens))
    if generation:
        (out / "generation_config.json").write_text(json.dumps(generation))
    return out


def round_trip(theirs: Path, out: Path, *, trained: bool = False) -> tuple[dict[str, Any], dict[str, Any], _exported.Chat]:
    """config.json and generation_config.json after a way in and out."""
    came = Incoming.of(theirs)
    _imported.tokenizer_files(came, out / "tokenizer")
    card = ModelCard(came.architecture, 203, 8, 0, 1)
    family, config = config_of(came.architecture, vocab_size=203, sequence_length=8)
    (out / "exported").mkdir()
    chat = _exported.tokenizer_files(out / "tokenizer", out / "checkpoint", card, family, out / "exported")
    _exported.configs(config, card, family, chat, out / "exported", trained=trained)
    told = [out / "exported" / name for name in ("config.json", "generation_config.json")]
    return *(json.loads(file.read_text()) if file.exists() else {} for file in told), chat  # type: ignore[return-value]


def test_a_decoder_begins_as_it_was_told_to(tmp_path: Path) -> None:
    theirs = folder(tmp_path / "flan", T5, FLAN)
    config, generation, _ = round_trip(theirs, tmp_path / "as_it_was")
    assert {key: config.get(key) for key in FLAN} == FLAN and "bos_token_id" not in config
    assert generation == FLAN | {"eos_token_id": [1, 0]}  # 0 is the eos_token of this tokenizer
    config, generation, _ = round_trip(theirs, tmp_path / "trained", trained=True)
    assert config["decoder_start_token_id"] == generation["decoder_start_token_id"] == 0 and config["pad_token_id"] == 0


def test_training_moves_where_a_decoder_begins(tmp_path: Path) -> None:
    theirs = folder(tmp_path / "t5", T5, FLAN | {"decoder_start_token_id": 9})
    assert round_trip(theirs, tmp_path / "as_it_was")[0]["decoder_start_token_id"] == 9
    assert round_trip(theirs, tmp_path / "trained", trained=True)[0]["decoder_start_token_id"] == 0  # the end of a document


def test_settings_of_replies(tmp_path: Path) -> None:
    """Theirs as long as it is their model; tokens always, with those that end a document here."""
    theirs = folder(tmp_path / "llama", LLAMA, {"bos_token_id": 5, "eos_token_id": 6}, SAMPLED)
    config, generation, _ = round_trip(theirs, tmp_path / "as_it_was")
    assert (config["bos_token_id"], config["eos_token_id"], "pad_token_id" in config) == (5, 6, False)
    assert generation == SAMPLED | {"eos_token_id": [7, 6, 0]}
    assert round_trip(theirs, tmp_path / "trained", trained=True)[1] == {"bos_token_id": 5, "eos_token_id": [7, 6, 0]}


def test_a_model_of_our_own_ends_as_its_tokenizer_says(tmp_path: Path) -> None:
    family, config = config_of(T5, vocab_size=203, sequence_length=8)
    card, made = ModelCard(T5, 203, 8, 0, 1), tokenizer(tmp_path / "tokenizer")
    chat = _exported.tokenizer_files(made, tmp_path, card, family, tmp_path)
    _exported.configs(config, card, family, chat, tmp_path, trained=True)
    told = json.loads((tmp_path / "generation_config.json").read_text())
    assert told == {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0, "decoder_start_token_id": 0} and chat.origin is None


@pytest.mark.parametrize("token", ["[MASK]", {"content": "[MASK]", "lstrip": True}, None])
def test_the_mask_of_an_imported_bert(tmp_path: Path, token: Any) -> None:
    """bert-base-uncased's settings name no token: transformers' class of its tokenizer does."""
    theirs = folder(tmp_path / "bert", BERT, {"pad_token_id": 3})
    spec = json.loads((theirs / "tokenizer.json").read_text())
    plain = {**spec["added_tokens"][0]}
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    spec["added_tokens"] += [plain | {"id": 190 + n, "content": name} for n, name in enumerate(names)]
    spec["model"]["vocab"] |= {name: 300 + n for n, name in enumerate(names)}
    (theirs / "tokenizer.json").write_text(json.dumps(spec))
    (theirs / "tokenizer_config.json").write_text(json.dumps({"mask_token": token} if token else {}))
    config, generation, chat = round_trip(theirs, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "exported" / "tokenizer_config.json").read_text())
    assert [told[f"{kind}_token"] for kind in ("pad", "unk", "cls", "sep")] == names[:4]
    assert told["mask_token"] == (token or "[MASK]") and chat.mask == "[MASK]"
    assert "Once upon [MASK] time" in _exported.three_lines(".", Incoming.of(theirs).family, chat)[2]
    assert config["pad_token_id"] == 3 and "eos_token_id" not in config and not generation


Ran = tuple[Path, dict[str, Any], dict[str, Any]]


def ran(stages: str, **config: Any) -> Ran:
    return Path(), {"stages": {name: {} for name in stages.split(",")}}, config


def test_weights_that_were_taken_in() -> None:
    """Newest run first."""
    first, further = {"train": {"init_from": None}}, {"train": {"init_from": "folder"}}
    assert comes_from([ran("align"), ran("import_model,prepare")])
    assert comes_from([ran("import_model,align"), ran("curate,train", **first)])
    assert comes_from([ran("curate,import_model,tokenize,train", **further)])
    assert comes_from([ran("tokenize,train", train={"init_from": None, "continued": True}), ran("import_model")])
    assert not comes_from([ran("curate,import_model,tokenize,train", **first)])  # its tokenizer alone
    assert not comes_from([ran("align"), ran("train", **first), ran("import_model")])
    assert not comes_from([ran("train", **first)]) and not comes_from([])


@pytest.mark.parametrize("trained", [False, True])
def test_the_card_names_whose_model_it_was(tmp_path: Path, trained: bool) -> None:
    theirs = folder(tmp_path / "models--google--flan-t5-small" / "snapshots" / "0fc9dd", T5, FLAN)
    (theirs / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\ntags: [a]\n---\n\n# FLAN\n")
    (theirs / "LICENSE.txt").write_text("Apache")
    run, out = tmp_path / "run", tmp_path / "out"
    _imported.tokenizer_files(Incoming.of(theirs), run / "import_model" / "tokenizer")
    (run / "manifest.json").write_text(json.dumps({"stages": {"import_model": {}}}))
    (run / "config.yaml").write_text("{}")
    out.mkdir()
    inputs = {Checkpoint: Checkpoint(run / "import_model" / "checkpoint"), Tokenizer: Tokenizer(run / "import_model" / "tokenizer")}
    job: Any = SimpleNamespace(run=run, take=inputs.__getitem__)
    family, card = Incoming.of(theirs).family, ModelCard(T5, 203, 8, 0, 1)
    _exported.model_card(job, family, card, 9, [], out, trained=trained)
    text = (out / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["base_model"] == "google/flan-t5-small" and metadata["license"] == "apache-2.0"
    assert (", trained further by Modelwright" in text) == trained and (", and was not trained by Modelwright" in text) != trained
    assert "That of google/flan-t5-small: apache-2.0 (LICENSE.txt)." in text and (out / "LICENSE.txt").read_text() == "Apache"
    (run / "manifest.json").write_text(json.dumps({"stages": {"import_model": {}, "train": {}}}))  # of our own, with its tokenizer
    _exported.model_card(job, family, card, 9, [], out, trained=True)
    text = (out / "README.md").read_text()
    assert "tokens, trained by Modelwright" in text and "google" not in text


def test_a_folder_that_says_little(tmp_path: Path) -> None:
    theirs = folder(tmp_path / "mine", T5, {})
    for text in ("", "# No metadata", "---\nlicense: [a\n---\n", "---\nlicense: [a]\n", "---\n- a\n---\n"):
        (theirs / "README.md").write_text(text)
        origin = Origin.of(theirs, {})
        assert origin.name == "mine" and not origin.licence
    told, licence = origin.card([])
    assert told[0].startswith("# base_model: mine") and told[1].startswith("# license") and licence == ["That of mine: not told."]
