from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.scaling.sweep import ParameterCount, read_runs


def model_json(file: Path, vocab_size: int = 100, **fields) -> Path:
    architecture = dataclasses.asdict(CausalDecoder(**fields))
    card = {"architecture": {"name": "causal_decoder", "fields": architecture}, "vocab_size": vocab_size, "sequence_length": 32,
            "end_of_document": 0, "seed": 1}  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(card))
    return file


def a_run(folder: Path, *, width: int = 48, tokens: int = 1000, loss: float = 5.0, shards: str = "s", stride: int = 32, **manifest) -> Path:
    model_json(folder / "train" / "checkpoint" / "model.json", layers=2, width=width, heads=2)
    (folder / "evaluate").mkdir()
    told = {"model": {"tokens_trained": tokens, "loss": loss}, "context": {"window": 32, "stride": stride}}
    (folder / "evaluate" / "evaluation.json").write_text(json.dumps(told))
    stages = {
        "train": {"status": "finished", "artifacts": {"checkpoint": {}, "metrics.jsonl": {}}, "inputs": {"token_shards": shards}},
        "evaluate": {"status": "finished", "artifacts": {"evaluation.json": {}}, "inputs": {"token_shards": shards}},
    }
    (folder / "manifest.json").write_text(json.dumps({"status": "finished", "overrides": [], "stages": stages} | manifest))
    return folder


def by_hand(layers: int, width: int, feed_forward: int, vocab_size: int) -> tuple[int, int]:
    """A tied Llama's parameters, with and without embeddings: 4 w² of attention, 3 w f of a gated layer, norms."""
    blocks = layers * (4 * width**2 + 3 * width * feed_forward + 2 * width) + width
    return blocks + vocab_size * width, blocks


def test_the_parameters_tokens_and_losses_of_a_sweep(tmp_path):
    for i, (width, tokens, loss) in enumerate([(48, 1000, 5.5), (48, 2000, 5.0), (96, 1000, 5.2)]):
        a_run(tmp_path / str(i), width=width, tokens=tokens, loss=loss)
    whole, blocks = zip(by_hand(2, 48, 128, 100), by_hand(2, 96, 256, 100), strict=True)
    o = read_runs([tmp_path], embeddings=True)
    assert o.parameters.tolist() == [whole[0], whole[0], whole[1]]
    assert (o.tokens.tolist(), o.loss.tolist(), o.labels, o.quarantined) == (
        [1000, 2000, 1000],
        [5.5, 5.0, 5.2],
        ["run 0", "run 1", "run 2"],
        [],
    )
    assert read_runs([tmp_path], embeddings=False).parameters.tolist() == [blocks[0], blocks[0], blocks[1]]
    assert read_runs([tmp_path / "0", tmp_path / "2"], embeddings=False).parameters.tolist() == list(blocks)


def test_embeddings_are_those_of_tokens_and_positions_and_the_output_matrix(tmp_path):
    gpt2 = model_json(tmp_path / "gpt2.json", 50_257, layers=12, width=768, heads=12, norm="layer", activation="gelu_tanh",
                      position="learned", positions=1024, bias=True)  # fmt: skip
    assert ParameterCount()(gpt2, embeddings=True) == 124_439_808  # as published
    assert ParameterCount()(gpt2, embeddings=False) == 124_439_808 - (50_257 + 1024) * 768
    untied = model_json(tmp_path / "untied.json", 100, layers=2, width=48, heads=2, tied_embeddings=False)
    whole, blocks = by_hand(2, 48, 128, 100)
    assert ParameterCount()(untied, embeddings=True) == whole + 48 * 100
    assert ParameterCount()(untied, embeddings=False) == blocks


def test_what_can_not_be_compared_is_set_aside_with_its_reason(tmp_path):
    for i in range(3):
        a_run(tmp_path / str(i), tokens=1000 + i)
    a_run(tmp_path / "3", status="failed", error="CUDA is out of memory")
    a_run(tmp_path / "4", shards="others")
    a_run(tmp_path / "5", stride=16)
    (a_run(tmp_path / "6") / "evaluate" / "evaluation.json").write_text("{")
    a_run(tmp_path / "7", stages={"train": {"status": "finished", "artifacts": {"checkpoint": {}}}})
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "manifest.json").write_text("not JSON")
    o = read_runs([tmp_path], embeddings=True)
    assert o.tokens.tolist() == [1000, 1001, 1002]
    told = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in o.quarantined}
    assert told["3"] == "failed, not finished: CUDA is out of memory"
    assert told["4"] == told["5"] == "evaluated on other text, or in other windows, than most runs"
    assert "6/evaluate/evaluation.json is not an evaluation that can be read" in told["6"]
    assert told["7"] == "no stage of it made evaluation.json; add evaluate to its stages"
    assert "is damaged" in told["8"] and len(told) == 6


def test_a_folder_without_usable_runs_is_refused_in_one_line(tmp_path):
    with pytest.raises(ModelwrightError, match="is neither a run nor a sweep"):
        read_runs([tmp_path], embeddings=True)
    a_run(tmp_path / "0", status="running")
    with pytest.raises(ModelwrightError, match=r"no finished run with an evaluation; .*0: running, not finished"):
        read_runs([tmp_path], embeddings=True)
