"""Batches from token shards: a pure function of the seed and the batch's number, the same under every layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset

from modelwright.errors import ModelwrightError


class Batches:
    """Packed sequences of `sequence_length + 1` tokens cut from the shard's whole stream, in a random order each epoch.

    Documents follow one another, each closed by its end-of-document token; a sequence may hold several, and attention
    sees across them (as GPT-3 was trained: Brown et al. 2020, appendix B). Sequences overlap by the one token that is
    the last target of one and the first input of the next, so each token is a target once an epoch.
    """

    def __init__(self, shard: Path, *, sequence_length: int, global_batch: int, seed: int) -> None:
        """`shard` is the path without `.bin` and `.idx`. Raises ModelwrightError if it has less than one batch."""
        index = IndexedDataset(str(shard), mmap=True).index
        self.tokens = np.memmap(shard.with_name(shard.name + ".bin"), dtype=index.dtype, mode="r")
        self.length, self.size, self.seed = sequence_length, global_batch, seed
        self.count = (len(self.tokens) - 1) // sequence_length  # sequences an epoch
        if self.count < global_batch:
            raise ModelwrightError(
                f"{shard}.bin: {len(self.tokens):,} tokens make {self.count} sequences of {sequence_length}, fewer than "
                f"train.global_batch={global_batch}; take more data or a smaller batch"
            )
        self.epoch, self.order = -1, np.empty(0, dtype=np.int64)

    def batch(self, number: int, part: int = 0, parts: int = 1) -> torch.Tensor:
        """Part `part` of `parts` of global batch `number` (from 0): int64 [global_batch / parts, sequence_length + 1]."""
        share, rest = divmod(self.size, parts)
        if rest:
            raise ModelwrightError(f"train.global_batch={self.size} can't be shared out to {parts} data ranks")
        first = number * self.size + part * share
        rows = [self.sequence(i) for i in range(first, first + share)]
        return torch.from_numpy(np.stack(rows).astype(np.int64))

    def sequence(self, number: int) -> np.ndarray:
        """The sequence that is drawn as number `number` (from 0), over all epochs."""
        epoch, place = divmod(number, self.count)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count)
        start = int(self.order[place]) * self.length
        return self.tokens[start : start + self.length + 1]
