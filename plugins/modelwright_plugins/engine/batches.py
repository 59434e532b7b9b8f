"""Batches from token shards: a pure function of the seed and the sequences' numbers, the same under every layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.objective import Objective, Passage
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


class Texts(Protocol):
    """Where sequences come from."""

    def spans(self, number: int) -> tuple[NDArray[np.int64], ...]:
        """The stretches of text of the sequence that is drawn as number `number` (from 0), over all epochs."""


class ShardTexts:
    """Stretches cut from a shard's whole stream of tokens, in a random order each epoch.

    Documents follow one another, each closed by its end-of-document token; a stretch may hold several. Stretches overlap by
    one token, the last target of one and the first input of the next, so that next-token prediction has each token as a
    target once an epoch. If there are several a sequence, each is drawn in an order of its own.
    """

    def __init__(self, shard: Path, lengths: tuple[int, ...], *, seed: int) -> None:
        """`shard` is the path without `.bin` and `.idx`; `lengths` are tokens of the stretches of each sequence."""
        index = IndexedDataset(str(shard), mmap=True).index
        self.shard, self.lengths, self.seed = shard, lengths, seed
        self.tokens = np.memmap(shard.with_name(shard.name + ".bin"), dtype=index.dtype, mode="r")
        self.step = lengths[0] - 1
        self.count = max(0, len(self.tokens) - max(lengths)) // self.step + (len(self.tokens) >= max(lengths))  # stretches an epoch
        self._epoch, self._orders = -1, [np.empty(0, dtype=np.int64)]

    def spans(self, number: int) -> tuple[NDArray[np.int64], ...]:
        epoch, place = divmod(number, self.count)
        starts = [int(order[place]) * self.step for order in self.orders(epoch)]
        return tuple(self.tokens[start : start + length].astype(np.int64) for start, length in zip(starts, self.lengths, strict=True))

    def orders(self, epoch: int) -> list[NDArray[np.int64]]:
        """For each stretch of a sequence, the order in which it goes through the shard in this epoch."""
        if epoch != self._epoch:
            seeds = [[self.seed, epoch], *([self.seed, epoch, extra] for extra in range(1, len(self.lengths)))]
            self._epoch, self._orders = epoch, [np.random.default_rng(seed).permutation(self.count) for seed in seeds]
        return self._orders


@dataclass(frozen=True)
class Batches:
    """Examples of an objective, stacked."""

    texts: Texts
    objective: Objective
    vocabulary: Vocabulary
    length: int  # positions a sequence
    seed: int

    @classmethod
    def of(cls, shard: Path, objective: Objective, vocabulary: Vocabulary, *, length: int, global_batch: int, seed: int) -> Batches:
        """From a shard (the path without `.bin` and `.idx`). Raises ModelwrightError if it has less than one batch."""
        texts = ShardTexts(shard, objective.spans(length), seed=seed)
        if texts.count < global_batch:
            raise ModelwrightError(
                f"{shard}.bin: {len(texts.tokens):,} tokens make {texts.count} sequences of {length}, fewer than "
                f"train.global_batch={global_batch}; take more data or a smaller batch"
            )
        return cls(texts, objective, vocabulary, length, seed)

    def batch(self, first: int, size: int, part: int = 0, parts: int = 1) -> dict[str, torch.Tensor]:
        """Part `part` of `parts` of the sequences `first` to `first + size` - 1: tensors [size / parts, …] by name."""
        share, rest = divmod(size, parts)
        if rest:
            raise ModelwrightError(f"train.global_batch={size} can't be shared out to {parts} data ranks")
        begin = first + part * share
        examples = [self.example(number) for number in range(begin, begin + share)]
        return {name: torch.from_numpy(np.stack([example[name] for example in examples])) for name in examples[0]}

    def example(self, number: int) -> dict[str, NDArray[np.generic]]:
        # 1 sets these numbers apart from those that shuffle
        random = np.random.default_rng([self.seed, 1, number, 0])
        return self.objective.example(Passage(self.texts.spans(number), self.length, self.vocabulary, random))
