"""Batches hold each sequence once an epoch, and depend on the seed and their number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.texts import ShardTexts
from modelwright_plugins.objective import Example, Passage
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

LENGTH, TOKENS = 8, 100  # twelve sequences of 8 and their last target, with three tokens left over


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard whose tokens are their own places, in documents of uneven lengths."""
    builder = IndexedDatasetBuilder(str(tmp_path / "train.bin"), dtype=DType.optimal_dtype(TOKENS))
    for document in torch.arange(TOKENS).split([7, 30, 1, 40, 22]):
        builder.add_document(document, [len(document)])
    builder.finalize(str(tmp_path / "train.idx"))
    return tmp_path / "train"


def batches(shard: Path, seed: int = 0) -> Batches:
    return Batches.of(shard, CausalLM(), Vocabulary(TOKENS, 0), length=LENGTH, global_batch=4, seed=seed)


def rows(data: Batches, number: int, size: int = 4, part: int = 0, parts: int = 1) -> torch.Tensor:
    """Input and last target of global batch `number`."""
    batch = data.batch(number * size, size, part, parts)
    return torch.cat([batch["input_ids"], batch["labels"][:, -1:]], 1)


def test_each_epoch_has_each_sequence_once(shard: Path) -> None:
    data = batches(shard)
    for epoch in range(3):
        found = torch.cat([rows(data, epoch * 3 + i) for i in range(3)])
        assert sorted(found[:, 0].tolist()) == list(range(0, 12 * LENGTH, LENGTH))
        assert torch.equal(found, found[:, :1] + torch.arange(LENGTH + 1))  # neighbours in the stream, across documents
    firsts = [tuple(rows(data, i)[:, 0].tolist()) for i in range(9)]
    assert len(set(firsts)) == 9  # another order each epoch


def test_parts_make_the_whole_whatever_came_before(shard: Path) -> None:
    whole = [rows(batches(shard), i) for i in range(7)]  # a batch that reaches over two epochs is among them
    data = batches(shard)
    for number in (6, 0, 3, 2):
        assert torch.equal(rows(data, number), whole[number])
        assert torch.equal(torch.cat([rows(data, number, 4, part, 4) for part in range(4)]), whole[number])
    seen = torch.cat([rows(data, i, 5)[:, 0] for i in range(12)])  # sixty sequences: five epochs of twelve
    assert all(sorted(epoch.tolist()) == list(range(0, 96, 8)) for epoch in seen.split(12))


def test_another_seed_is_another_order(shard: Path) -> None:
    assert not torch.equal(rows(batches(shard, 0), 0), rows(batches(shard, 1), 0))
    assert torch.equal(rows(batches(shard, 1), 0), rows(batches(shard, 1), 0))


def test_several_stretches_are_drawn_independently(shard: Path) -> None:
    texts = ShardTexts(shard, (9, 5), seed=0)
    pairs = [[int(span[0]) for span in texts.spans(number)] for number in range(2 * texts.count)]
    for place in (0, 1):
        assert sorted(pair[place] for pair in pairs[: texts.count]) == list(range(0, 96, 8))
    assert all(len(span) == length for span, length in zip(texts.spans(3), (9, 5), strict=True))
    assert len({b - a for a, b in pairs}) > 8


def test_an_example_s_chance_is_its_number_s_own(shard: Path) -> None:
    class Dice(CausalLM):
        def example(self, passage: Passage) -> Example:
            return {"dice": passage.random.integers(0, 1000, 4)}

    data = Batches.of(shard, Dice(), Vocabulary(TOKENS, 0), length=LENGTH, global_batch=4, seed=0)
    whole = data.batch(0, 12)["dice"]
    assert len({tuple(row) for row in whole.tolist()}) == 12
    assert torch.equal(torch.cat([data.batch(6, 6, 1, 2)["dice"], data.batch(6, 6, 0, 2)["dice"]]), whole[[9, 10, 11, 6, 7, 8]])


def test_too_little_data_is_told(shard: Path) -> None:
    with pytest.raises(ModelwrightError, match=r"train\.bin: 100 tokens make 12 sequences of 8, fewer than train\.global_batch=13"):
        Batches.of(shard, CausalLM(), Vocabulary(TOKENS, 0), length=LENGTH, global_batch=13, seed=0)


def test_tokens_are_read_in_their_type(shard: Path) -> None:
    assert ShardTexts(shard, (9,), seed=0).tokens.dtype == np.uint16
    assert rows(batches(shard), 0).dtype == torch.int64
