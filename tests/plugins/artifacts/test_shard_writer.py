"""Shards are what Megatron's own builder writes, byte for byte."""

import numpy as np
import pytest

from modelwright_plugins.artifacts.shard_writer import ShardWriter


@pytest.mark.parametrize("vocab_size", [257, 65_499, 65_500, 151_936])
def test_bytes_are_those_of_megatrons_builder(vocab_size, tmp_path):
    import torch
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    pick = np.random.default_rng(0)
    rows = [pick.integers(0, vocab_size, size, dtype=np.uint32) for size in (5, 1, 0, 70_000, *pick.integers(1, 300, 200))]
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=DType.optimal_dtype(vocab_size))
    for row in rows:
        builder.add_document(torch.from_numpy(row.astype(np.int64)), [len(row)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    with ShardWriter(tmp_path / "part.one", vocab_size) as ours:
        for row in rows:
            ours.write(row if len(row) % 2 else row.tolist())
    ours.close()  # once more does nothing
    for suffix in ("bin", "idx"):
        assert (tmp_path / f"part.one.{suffix}").read_bytes() == (tmp_path / f"theirs.{suffix}").read_bytes()


def test_nothing_written_is_an_empty_dataset(tmp_path):
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=DType.optimal_dtype(300)).finalize(str(tmp_path / "theirs.idx"))
    ShardWriter(tmp_path / "ours", 300).close()
    assert (tmp_path / "ours.idx").read_bytes() == (tmp_path / "theirs.idx").read_bytes() and not (tmp_path / "ours.bin").read_bytes()
