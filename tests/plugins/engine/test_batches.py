"""Batches hold each sequence once an epoch, and depend on the seed and their number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.batches import Batches

LENGTH, TOKENS = 8, 100  # twelve sequences of 8 and their last target, with three tokens left over


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard whose tokens are their own places, in documents of uneven lengths."""
    builder = IndexedDatasetBuilder(str(tmp_path / "train.bin"), dtype=DType.optimal_dtype(TOKENS))
    for document in torch.arange(TOKENS).split([7, 30, 1, 40, 22]):
        builder.add_document(document, [len(document)])
    builder.finalize(str(tmp_path / "train.idx"))
    return tmp_path / "train"


def batches(shard: Path, seed: int = 0, size: int = 4) -> Batches:
    return Batches(shard, sequence_length=LENGTH, global_batch=size, seed=seed)


def test_each_epoch_has_each_sequence_once(shard: Path) -> None:
    data = batches(shard)
    for epoch in range(3):
        rows = torch.cat([data.batch(epoch * 3 + i) for i in range(3)])
        assert sorted(rows[:, 0].tolist()) == list(range(0, 12 * LENGTH, LENGTH))
        assert torch.equal(rows, rows[:, :1] + torch.arange(LENGTH + 1))  # neighbours in the stream, across documents
    firsts = [tuple(data.batch(i)[:, 0].tolist()) for i in range(9)]
    assert len(set(firsts)) == 9  # another order each epoch


def test_parts_make_the_whole_whatever_came_before(shard: Path) -> None:
    whole = [batches(shard).batch(i) for i in range(7)]  # a batch that reaches over two epochs is among them
    data = batches(shard, size=4)
    for number in (6, 0, 3, 2):
        assert torch.equal(data.batch(number), whole[number])
        assert torch.equal(torch.cat([data.batch(number, part, 4) for part in range(4)]), whole[number])
    ragged = batches(shard, size=5)
    seen = torch.cat([ragged.batch(i)[:, 0] for i in range(12)])  # sixty sequences: five epochs of twelve
    assert all(sorted(epoch.tolist()) == list(range(0, 96, 8)) for epoch in seen.split(12))


def test_another_seed_is_another_order(shard: Path) -> None:
    assert not torch.equal(batches(shard, 0).batch(0), batches(shard, 1).batch(0))
    assert torch.equal(batches(shard, 1).batch(0), batches(shard, 1).batch(0))


def test_too_little_data_is_told(shard: Path) -> None:
    with pytest.raises(ModelwrightError, match=r"train\.bin: 100 tokens make 12 sequences of 8, fewer than train\.global_batch=13"):
        batches(shard, size=13)


def test_tokens_are_read_in_their_type(shard: Path) -> None:
    assert batches(shard).tokens.dtype == np.uint16
    assert batches(shard).batch(0).dtype == torch.int64
