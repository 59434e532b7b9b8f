"""Batches of examples are a pure function of the seed and numbers; nothing is cut, and what is packed is kept apart."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "aligner"))
from aligned import LENGTH, REPLIES, VOCABULARY, examples

from modelwright.errors import ModelwrightError
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.kto import KTO
from modelwright_plugins.aligner.rrhf import RRHF
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.example_batches import MISMATCHED, ExampleBatches
from modelwright_plugins.engine.packing import packed
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def made(folder: Path, kind: str, aligner: Aligner, **changes: Any) -> ExampleBatches:
    if not folder.exists():
        examples(folder, kind)
    sizes = {"length": LENGTH, "global_batch": 8, "seed": 3, "multiple": LENGTH}
    return ExampleBatches.of(StoredExamples(folder), aligner, Vocabulary(VOCABULARY, 0), **{**sizes, **changes})


def test_a_row_predicts_its_targets_and_nothing_else(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", "preference", DPO())
    batch = batches.batch(0, 8)
    assert batch["input_ids"].shape == (16, LENGTH) and batch["attention_mask"].shape == (16, LENGTH, 2)
    for place, example in enumerate(batches.number(n) for n in range(8)):
        for row, stored in enumerate(batches.examples.rows_of(example), 2 * place):
            tokens, mask = (torch.from_numpy(np.array(x)).long() for x in batches.examples.row(stored))
            size = len(tokens) - 1
            assert torch.equal(batch["input_ids"][row, :size], tokens[:-1])
            assert torch.equal(batch["labels"][row, :size], torch.where(mask[1:] > 0, tokens[1:], -1))
            assert (batch["labels"][row, size:] == -1).all()
            assert torch.equal(batch["loss_mask"][row], (batch["labels"][row] >= 0).float())


@pytest.mark.parametrize(
    ("kind", "aligner", "pack"),
    [("preference", DPO(), False), ("conversation", SFT(), True), ("ranking", RRHF(), False), ("unpaired", KTO(), False)],
)
def test_parts_make_up_the_whole_and_epochs_have_every_example_once(kind: str, aligner: Aligner, pack: bool, tmp_path: Path) -> None:
    batches = made(tmp_path / "e", kind, aligner, pack=pack)
    whole = batches.batch(4, 8)
    for parts in (2, 4, 8):
        each = [batches.batch(4, 8, part, parts) for part in range(parts)]
        for name, value in whole.items():
            assert torch.equal(torch.cat([part[name] for part in each]).nan_to_num(7), value.nan_to_num(7)), name
    first, second = ([batches.number(n + epoch * batches.count) for n in range(batches.count)] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == [*range(batches.count)] and first != second
    assert first != [replace(batches, seed=4).number(n) for n in range(batches.count)]
    with pytest.raises(ModelwrightError, match=r"align.global_batch=8 can't be shared out to 3 data ranks"):
        batches.batch(0, 8, 0, 3)


def test_packed_rows_are_whole_and_do_not_see_each_other(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", "conversation", SFT(), pack=True)
    assert batches.sequences is not None
    assert sorted(row for rows in batches.sequences for row in rows) == [*range(len(batches.examples))]
    assert len(batches.sequences) < len(batches.examples)
    batch = batches.batch(0, 8)
    for place, sequence in enumerate(batches.sequences[batches.number(n)] for n in range(8)):
        begin = 0
        for row in sequence:
            alone = batches.laid([[batches.row(row)]])
            end = begin + len(batches.examples.row(row)[0]) - 1
            assert torch.equal(batch["input_ids"][place, begin:end], alone["input_ids"][0, : end - begin])
            assert torch.equal(batch["labels"][place, begin:end], alone["labels"][0, : end - begin])
            assert torch.equal(batch["position_ids"][place, begin:end], torch.arange(end - begin))
            assert (batch["attention_mask"][place, begin:end, 0] == begin).all()  # nothing before its own beginning
            assert torch.equal(batch["attention_mask"][place, begin:end, 1], torch.arange(begin, end) + 1)
            begin = end
        assert begin <= LENGTH and (batch["labels"][place, begin:] == -1).all()


def test_packing_wastes_little_and_takes_the_best_fit() -> None:
    assert packed(np.array([6, 4, 5, 5, 0, 3]), 10) == [[0, 1], [2, 3], [5]]
    assert packed(np.array([7, 5, 3, 2]), 10) == [[0, 2], [1, 3]]  # the 3 goes where it fits best
    lengths = np.random.default_rng(0).integers(1, 1000, 5000)
    sequences = packed(lengths, 1024)
    assert max(lengths[rows].sum() for rows in sequences) <= 1024
    assert len(sequences) * 1024 < 1.02 * lengths.sum()


def test_what_is_too_long_is_an_error_that_counts_it(tmp_path: Path) -> None:
    made(tmp_path / "e", "preference", DPO())
    with pytest.raises(ModelwrightError, match=r"\d+ of 48 rows are longer than align.sequence_length=16, the longest by 15; nothing is"):
        made(tmp_path / "e", "preference", DPO(), length=16)
    with pytest.raises(ModelwrightError, match="holds examples of the kind preference; aligner sft learns from conversation"):
        made(tmp_path / "e", "preference", SFT())
    with pytest.raises(ModelwrightError, match=r"has 24 examples, fewer than align.global_batch=25"):
        made(tmp_path / "e", "preference", DPO(), global_batch=25)


def test_mismatched_replies_are_another_examples(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", "unpaired", KTO())
    batch, replies = batches.batch(0, 24), set()
    for place, example in enumerate(batches.number(n) for n in range(24)):
        tokens, mask = batches.examples.row(example)
        prompt = int(mask.argmax())
        row = {name: batch[MISMATCHED + name][place] for name in ("input_ids", "labels")}
        targets = row["labels"][row["labels"] >= 0]
        begin = int((row["labels"] >= 0).nonzero()[0]) + 1
        assert tokens[prompt - begin : prompt].tolist() == row["input_ids"][:begin].tolist()  # its own prompt, or the end of it
        whose = [n for n in range(24) if np.array_equal(batches.examples.row(n)[0][int(batches.examples.row(n)[1].argmax()) :], targets)]
        assert whose and example not in whose
        replies |= {*whose}
    assert replies == {*range(24)}


def test_what_stands_before_an_example_is_no_target(tmp_path: Path) -> None:
    plain = made(tmp_path / "e", "reward", SFTOfRewards())
    before = tuple(np.array([9, 8]) if score else np.array([7]) for score in plain.examples.scores)
    batches = made(tmp_path / "e", "reward", SFTOfRewards(), before=before, length=LENGTH + 2)
    for row, more in enumerate(before):
        one, other = plain.laid([[plain.row(row)]]), batches.laid([[batches.row(row)]])
        assert other["input_ids"][0, : len(more)].tolist() == more.tolist()
        assert other["labels"][0, len(more) :][: LENGTH - 2].tolist() == one["labels"][0, : LENGTH - 2].tolist()
        assert (other["labels"][0, : len(more)] == -1).all()
    with pytest.raises(ModelwrightError, match=r"prepare.max_length=28"):
        made(tmp_path / "e", "reward", SFTOfRewards(), before=before, length=29)


class SFTOfRewards(SFT):
    examples = ("reward",)


def test_rankings_of_fewer_replies_are_filled_up(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", "ranking", RRHF())
    assert batches.rows == REPLIES["ranking"]
    found = batches.stored([0, -1])
    assert found["loss_mask"][1].sum() == 0 and found["loss_scores"][1].isnan() and found["loss_mask"][0].sum() > 0


@pytest.mark.parametrize(("kind", "aligner", "pack"), [("preference", DPO(), False), ("conversation", SFT(), True)])
def test_a_batch_is_as_long_as_its_longest_row(kind: str, aligner: Aligner, pack: bool, tmp_path: Path) -> None:
    batches = made(tmp_path / "e", kind, aligner, pack=pack, multiple=4)
    lengths, whole = set(), replace(batches, multiple=LENGTH)
    for first in range(0, batches.count, 2):
        batch, full = batches.batch(first, 2), whole.batch(first, 2)
        real = int((full["attention_mask"][:, :, 1] - full["attention_mask"][:, :, 0]).shape[1])
        positions = batches.positions(batch)
        assert real == LENGTH and positions % 4 == 0
        stored = [
            sum(len(batches.examples.row(row)[0]) - 1 for row in rows)
            for n in range(first, first + 2)
            for rows in (
                [batches.sequences[batches.number(n)]]
                if batches.sequences is not None
                else [[row] for row in batches.examples.rows_of(batches.number(n))]
            )
        ]
        assert positions - 4 < max(stored) <= positions
        assert batches.tokens(first + 2) - batches.tokens(first) == sum(stored)
        for name, value in batch.items():
            assert torch.equal(
                value.nan_to_num(7), full[name][:, :positions].nan_to_num(7) if value.dim() > 1 else full[name].nan_to_num(7)
            )
        assert (full["labels"][:, positions:] < 0).all()
        lengths.add(positions)
    assert pack or len(lengths) > 1
    assert batches.tokens(3 * batches.count) == 3 * batches.tokens(batches.count)
