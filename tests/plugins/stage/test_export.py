"""What is exported is what transformers computes with, whatever layout saved it; and what is taken in is what was exported."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from exported_models import MODELS, asked, exported, saved, taken_in, tokenizer
from ranks import on_ranks

from modelwright_plugins.conformance.process import elsewhere

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each model a folder: its checkpoint, saved from tensor 2 x pipeline 2, its logits, and what was exported."""
    folder = tmp_path_factory.mktemp("exported")
    tokenizer(folder / "tokenizer")
    on_ranks(saved, 4, folder, groups=2, out=str(folder))
    exported(folder)
    return folder


def test_every_architecture_from_four_ranks(out: Path, tmp_path: Path) -> None:
    same = on_ranks(taken_in, 4, tmp_path, groups=1, out=str(out))
    assert all(each == dict.fromkeys(MODELS, True) for each in same), same
    found = elsewhere(asked, str(out), folder=tmp_path / "asked")
    for name, each in found.items():
        assert each["architectures"] == [MODELS[name][1]]
        assert not each["wrong"] and not each["again"], (name, each)
        assert each["largest"] > 0.3 and each["difference"] < 1e-5 * max(1.0, each["largest"]), (name, each)
    assert found["qwen3"]["said"].startswith("Once upon a time")
    assert found["t5"]["said"].strip() and "score" in found["bert_masked"]["said"]
    _files(out / "llama" / "hugging_face")
    bert = json.loads((out / "bert" / "hugging_face" / "tokenizer_config.json").read_text())
    assert bert["mask_token"] == "<mask>" and "token_type_ids" in bert["model_input_names"]


def _files(folder: Path) -> None:
    """Shards are as small as was asked for, the index names what is in each, and the card leaves the licence open."""
    told = json.loads((folder / "model.safetensors.index.json").read_text())
    names = sorted(file.name for file in folder.glob("*.safetensors"))
    assert len(names) > 3 and names[0] == f"model-00001-of-{len(names):05}.safetensors"
    size = 0
    for file in names:
        with safe_open(folder / file, framework="np") as shard:
            assert {*shard.keys()} == {name for name, place in told["weight_map"].items() if place == file}
            assert len([*shard.keys()]) == 1 or (folder / file).stat().st_size < 1.02e5
            size += sum(shard.get_tensor(name).nbytes for name in [*shard.keys()])
    assert size == told["metadata"]["total_size"]
    card = (folder / "README.md").read_text()
    assert "# license: not chosen yet" in card and "A LlamaForCausalLM of" in card


def test_every_tensor_has_a_place_in_llama_cpp(out: Path) -> None:
    """Its table of names has one for each tensor that its converter does not leave out."""
    import gguf

    kinds = {
        "llama": "LLAMA", "mistral": "LLAMA", "mixtral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "granite": "GRANITE", "gpt2": "GPT2",
        "bloom": "BLOOM", "deepseek": "DEEPSEEK2", "t5": "T5", "t5_v1_1": "T5",
    }  # fmt: skip
    for name, kind in kinds.items():
        places = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, kind), 2)
        names = json.loads((out / name / "hugging_face" / "model.safetensors.index.json").read_text())["weight_map"]
        plain = {each for each in names if ".experts." not in each}  # the converter puts experts together
        own = {each.removeprefix("transformer.") if name == "bloom" else each for each in plain}  # and this it takes off
        unknown = {each for each in own if places.get_name(each, try_suffixes=(".weight", ".bias")) is None}
        assert not unknown, (name, unknown)
