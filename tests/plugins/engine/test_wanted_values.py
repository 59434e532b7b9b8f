"""Rows of examples where a model gives values: read to their last token, which is where a reply's value is wanted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.process_reward import ProcessReward
from modelwright_plugins.aligner.reward_model import RewardModel
from modelwright_plugins.artifacts.examples import ExamplesWriter, StoredExamples
from modelwright_plugins.engine.example_batches import ExampleBatches
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

N = np.nan


def stored(
    folder: Path, kind: str, examples: list[list[list[int]]], scores: list[float] | None, values: list[list[float]]
) -> StoredExamples:
    numbers = {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(folder, part, kind)  # type: ignore[arg-type]
        for rows in examples:
            writer.write({"id": "0", "group": "0"}, [(row, [0, *[1] * (len(row) - 1)]) for row in rows], scores, values or None)
        numbers[part] = writer.close()
    (folder / "examples.json").write_text(json.dumps({"kind": kind, "vocab_size": 20, "end_of_document": 0, **numbers}))
    return StoredExamples(folder)


def batches(examples: StoredExamples, aligner: Aligner, length: int = 8) -> ExampleBatches:
    return ExampleBatches.of(examples, aligner, Vocabulary(20, 0), length=length, global_batch=1, seed=1)


def test_of_a_reply_at_its_last_token(tmp_path: Path) -> None:
    found = batches(stored(tmp_path, "ranking", [[[3, 4, 5, 0], [3, 6]]], None, []), RewardModel()).batch(0, 1)
    assert found["input_ids"].tolist() == [[3, 4, 5, 0], [3, 6, 0, 0]]
    assert found["loss_mask"].tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert not found["loss_thumbs"].any() and (found["labels"] < 0).all()


def test_of_fewer_replies_than_others_have(tmp_path: Path) -> None:
    made = batches(stored(tmp_path, "ranking", [[[3, 4], [5, 6], [7, 8]], [[9, 10], [11, 12]]], None, []), RewardModel())
    found = [made.batch(number, 1) for number in range(2)]
    assert sorted(each["loss_mask"].sum(1).tolist() for each in found) == [[1, 1, 0], [1, 1, 1]]


def test_of_steps_where_they_end(tmp_path: Path) -> None:
    examples = stored(tmp_path, "steps", [[[3, 4, 5, 6, 0]]], None, [[N, N, 0.5, N, 1]])
    found = batches(examples, ProcessReward()).batch(0, 1)
    assert found["loss_mask"].tolist() == [[0, 0, 1, 0, 1]] and found["loss_labels"].tolist() == [[0, 0, 0.5, 0, 1]]


def test_of_thumbs(tmp_path: Path) -> None:
    found = batches(stored(tmp_path, "unpaired", [[[3, 4]]], [1.0], []), RewardModel()).batch(0, 1)
    assert found["loss_thumbs"].all() and found["loss_scores"].tolist() == [1]


def test_a_row_needs_room_for_its_last_token(tmp_path: Path) -> None:
    examples = stored(tmp_path, "reward", [[[3, 4, 5, 0]]], [1.0], [])
    made = batches(examples, RewardModel(), 4)
    assert made.batch(0, 1)["input_ids"].tolist() == [[3, 4, 5, 0]] and made.tokens(1) == 4
    with pytest.raises(ModelwrightError, match=r"longest by 1; .* align.sequence_length=4, .*prepare.max_length=3\)"):
        batches(examples, RewardModel(), 3)


def test_what_the_template_does_not_put_behind_replies_is_none_of_their_ending(tmp_path: Path) -> None:
    from modelwright_plugins.conformance.judge import judge
    from modelwright_plugins.engine.wanted_values import read_so

    model = judge("reward", tmp_path, first=True)
    behind = model.chat.special["<|im_end|>"]
    rows = [[*model.encoder.encode(f"{said}, thanks"), behind, 0] for said in ("soup", "tea")]
    folder = tmp_path / "alike"
    folder.mkdir()
    examples = stored(folder, "reward", [[row] for row in rows], [1.0], [])
    told = examples.about | {"template": model.chat.template}
    (folder / "examples.json").write_text(json.dumps(told))
    examples = StoredExamples(folder)
    assert read_so(examples, tmp_path)["ending"] == (behind, 0)
    assert len(read_so(examples)["ending"]) > 2  # by the rows alone
