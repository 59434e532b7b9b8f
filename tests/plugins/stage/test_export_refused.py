"""Folders of weights that are not whole, pickles, other tokenizers: one line each."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
from exported_models import tokenizer

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.architecture.hugging_face import config_of
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.hugging_face_in import Incoming, _Loading, other_tokens
from modelwright_plugins.engine.safetensors_folder import INDEX, SINGLE, SafetensorsFolder, Tensor, write
from modelwright_plugins.stage.import_model import ImportModel
from modelwright_plugins.stage.train import _hugging_face

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(5, dtype=torch.bfloat16), "c": torch.zeros(7)}

GPT2 = CausalDecoder(layers=1, width=8, heads=2, norm="layer", activation="gelu_tanh", position="learned", bias=True)


def written(folder: Path, limit: int = 30) -> Path:
    write(folder, [Tensor(name, tuple(w.shape), w.dtype) for name, w in WEIGHTS.items()], lambda t: WEIGHTS[t.name], limit=limit)
    return folder


def test_what_is_written_is_what_safetensors_reads(tmp_path: Path) -> None:
    written(tmp_path)
    found = {name: value for file in tmp_path.glob("*.safetensors") for name, value in load_file(file).items()}
    assert found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3  # 24, 10 and 28 bytes
    with SafetensorsFolder(tmp_path) as files:
        assert all(torch.equal(files.read(name), WEIGHTS[name]) for name in WEIGHTS)


def test_a_missing_shard_a_damaged_one_and_a_path_outside(tmp_path: Path) -> None:
    written(tmp_path)
    (gone, cut, _) = sorted(tmp_path.glob("*.safetensors"))
    cut.write_bytes(cut.read_bytes()[:-3])
    with SafetensorsFolder(tmp_path) as files, pytest.raises(ModelwrightError, match=f"{cut.name} is no whole safetensors file"):
        files.read("b")
    gone.unlink()
    with SafetensorsFolder(tmp_path) as files, pytest.raises(ModelwrightError, match=f"lacks {gone.name}, which {INDEX} names"):
        files.read("c")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with SafetensorsFolder(tmp_path) as files, pytest.raises(ModelwrightError, match="names a file outside of its folder"):
        files.read("a")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/opened'\ntR.")
    with SafetensorsFolder(tmp_path) as files, pytest.raises(ModelwrightError, match=r"pytorch_model\.bin is a pickle"):
        files.read("a")


def test_first_weights_of_another_model(tmp_path: Path) -> None:
    theirs, ours = CausalDecoder(layers=2, width=8, heads=2), tokenizer(tmp_path / "ours")
    folder = tokenizer(tmp_path / "theirs")
    (folder / "config.json").write_text(json.dumps(config_of(theirs, vocab_size=203, sequence_length=16)[1]))
    save_file({"a": torch.zeros(1)}, folder / SINGLE)
    found = Incoming.of(folder)
    assert found.misfits(ModelCard(theirs, 203, 16, 0, 1), ours) == []
    deeper = CausalDecoder(layers=3, width=8, heads=2, qk_norm=True, dropout=0.1)
    (line,) = found.misfits(ModelCard(deeper, 203, 16, 0, 1), ours)
    assert "architecture.layers=2 architecture.qk_norm=false" in line and "dropout" not in line
    assert found.misfits(ModelCard(theirs, 204, 16, 0, 1), ours) == ["it has 203 tokens, and here are 204"]
    spec = json.loads((ours / "tokenizer.json").read_text())
    vocabulary = spec["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    (ours / "tokenizer.json").write_text(json.dumps(spec))
    assert "its tokenizer is another: 'B' is token 34" in str(other_tokens(folder, ours))
    (folder / "tokenizer.json").unlink()
    with pytest.warns(UserWarning, match="is not known"):
        assert other_tokens(folder, ours) is None


def test_names_of_older_files(tmp_path: Path) -> None:
    """bert-base-uncased has gamma and beta, gpt2 no prefix; transformers 5 ties a T5 v1.1 that it makes."""
    for ours, there, wanted in (
        (Encoder(layers=1, width=8, heads=2, positions=4), "bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
        (GPT2, "h.0.ln_1.bias", "transformer.h.0.ln_1.bias"),
        (EncoderDecoder(activation="geglu", tied_embeddings=False), "shared.weight", "lm_head.weight"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config_of(ours, vocab_size=9, sequence_length=4)[1]))
        save_file({there: torch.arange(8.0)}, tmp_path / SINGLE)
        with SafetensorsFolder(tmp_path) as files:
            loading = _Loading(Incoming.of(tmp_path), files, 9)
            assert loading._read(wanted)[3] == 3 and loading.used == {there}
            with pytest.raises(ModelwrightError, match=r"has no bert\.x, which a (bert|gpt2|t5) has"):
                loading._read("bert.x")


def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba2"}))
    parts = {"kernel": _Fine(), "attention": _Fine()}
    assert [line.partition(";")[0] for line in ImportModel(path=tmp_path).problems(parts)] == [
        f"import_model.path={tmp_path} has no tokenizer.json (transformers writes one with AutoTokenizer.save_pretrained)",
        f"import_model.path: {tmp_path / 'config.json'}: model_type is mamba2",
    ]
    assert "model_type is mamba2" in _hugging_face(tmp_path, CausalDecoder())[0]
    (tmp_path / "config.json").write_text(json.dumps(config_of(CausalDecoder(layers=2), vocab_size=9, sequence_length=9)[1]))
    assert _hugging_face(tmp_path, CausalDecoder(layers=2)) == []
    assert _hugging_face(tmp_path, CausalDecoder()) == [
        f"train.init_from={tmp_path}: its architecture is another; architecture.layers=2 makes this one the same"
    ]


@pytest.fixture
def alone() -> Iterator[None]:
    """One rank, in this process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_weights_that_are_rounded_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FP32 in BF16 loses digits, and BF16 in FP16 range; BF16 in FP32 loses nothing."""
    (tmp_path / "config.json").write_text(json.dumps(config_of(GPT2, vocab_size=9, sequence_length=4)[1]))
    numbers = torch.linspace(1, 1.01, 8)
    for theirs, ours, said in (
        (torch.float32, torch.bfloat16, "its weights are FP32, and are rounded to BF16 here; precision=fp32 keeps them"),
        (torch.bfloat16, torch.float16, "its weights are BF16, and are rounded to FP16 here; precision=bf16 keeps them"),
        (torch.bfloat16, torch.float32, None),
        (torch.float16, torch.float16, None),
    ):
        held = torch.empty(8, dtype=ours)
        parts = [("decoder.final_layernorm.weight", held, (8,), (0,))]
        monkeypatch.setitem(sys.modules, "modelwright_plugins.engine.model", SimpleNamespace(named_parts=lambda _, parts=parts: parts))
        save_file({"transformer.ln_f.weight": numbers.to(theirs)}, tmp_path / SINGLE)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            Incoming.of(tmp_path).load([], vocab_size=8)
        assert torch.equal(held, numbers.to(theirs).to(ours))
        rows = "its last 1 rows are of no token here, and are left out"
        assert [str(each.message) for each in told] == [f"{tmp_path}: {line}" for line in (rows, said) if line]
        assert all("/modelwright_plugins/" in each.filename for each in told)  # as core/modelwright/rank.py shows it in the terminal


class _Fine:
    def problems(self) -> list[str]:
        return []
