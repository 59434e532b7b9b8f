"""Stretches of text from a token shard, by number: a pure function of the seed, the same under every layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from megatron.core.datasets.indexed_dataset import IndexedDataset
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Texts(Protocol):
    """Where sequences come from."""

    def spans(self, number: int) -> tuple[Integers, ...]:
        """The stretches of text of the sequence that is drawn as number `number` (from 0), over all epochs."""


class Stored(Texts, Protocol):
    """Texts that are on disk, in one shard or several: of each number it can be told where its text is."""

    count: int  # sequences that there are, each once

    def by_shard(self, numbers: Integers) -> Iterator[tuple[ShardTexts, Integers]]:
        """Each shard, and which of its own numbers those of `numbers` are that are drawn from it, in the order of `numbers`."""


def stored_tokens(shard: Path) -> NDArray[np.integer[Any]]:
    """The tokens of an indexed dataset (a path without `.bin` and `.idx`), not read before they are used."""
    return np.memmap(shard.with_name(shard.name + ".bin"), dtype=IndexedDataset(str(shard), mmap=True).index.dtype, mode="r")


def stored_lengths(shard: Path) -> Integers:
    """How many tokens each document of an indexed dataset has."""
    index = IndexedDataset(str(shard), mmap=True).index
    return np.array(index.sequence_lengths, np.int64)  # a copy: reading the index's own arrays when it is gone ends the process


class ShardTexts:
    """Stretches cut from a shard's whole stream of tokens, in a random order each epoch.

    Documents follow one another, each closed by its end-of-document token; a stretch may hold several. Stretches overlap by
    one token, the last target of one and the first input of the next, so that next-token prediction has each token as a
    target once an epoch. If there are several a sequence, each is drawn in an order of its own.
    """

    def __init__(self, shard: Path, lengths: tuple[int, ...], *, seed: int, window: int | None = None, stream: int = 0) -> None:
        """`shard` is the path without `.bin` and `.idx`; `lengths` are tokens of the stretches of each sequence.

        `window`: every epoch goes through the shard from its beginning to its end, in a random order only within so many stretches;
        None: in a random order. `stream` sets the order apart from that of other shards with the same seed.
        """
        self.tokens = stored_tokens(shard)
        self.shard, self.lengths, self.seed, self.window, self.stream = shard, lengths, seed, window, stream
        self.step = lengths[0] - 1
        self.count = max(0, len(self.tokens) - max(lengths)) // self.step + (len(self.tokens) >= max(lengths))  # stretches an epoch
        self._epoch, self._orders = -1, [np.empty(0, dtype=np.int64)]

    def spans(self, number: int) -> tuple[Integers, ...]:
        epoch, place = divmod(number, self.count)
        starts = [int(order[place]) * self.step for order in self.orders(epoch)]
        return tuple(self.tokens[start : start + length].astype(np.int64) for start, length in zip(starts, self.lengths, strict=True))

    def by_shard(self, numbers: Integers) -> Iterator[tuple[ShardTexts, Integers]]:
        yield self, numbers

    def orders(self, epoch: int) -> list[Integers]:
        """For each stretch of a sequence, the order in which it goes through the shard in this epoch."""
        if epoch != self._epoch:
            self._epoch, self._orders = epoch, [self._order(epoch, extra) for extra in range(len(self.lengths))]
        return self._orders

    def _order(self, epoch: int, extra: int) -> Integers:
        if self.window is None:
            words = [self.seed, epoch, extra, self.stream] if self.stream else [self.seed, epoch, extra] if extra else [self.seed, epoch]
            return np.random.default_rng(words).permutation(self.count)
        order = np.arange(self.count)
        if self.window > 1:  # by window, and within each by chance: the same for all stretches of a sequence
            random = np.random.default_rng([self.seed, epoch, 0, self.stream])
            order = order[np.lexsort((random.random(self.count), order // self.window))]
        return np.roll(order, -extra)  # of a pair of stretches, the second is the next, and never the first
