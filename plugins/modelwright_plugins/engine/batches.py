"""Batches from token shards: a pure function of the seed and the sequences' numbers, the same under every layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.blend import opened
from modelwright_plugins.engine.data import Counted
from modelwright_plugins.engine.texts import Texts
from modelwright_plugins.objective import Objective, Passage
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


@dataclass(frozen=True)
class Batches(Counted):
    """Examples of an objective, stacked."""

    texts: Texts
    objective: Objective
    vocabulary: Vocabulary
    length: int  # positions a sequence
    seed: int
    rows: ClassVar[int] = 1  # sequences of each number

    @classmethod
    def of(cls, shard: Path, objective: Objective, vocabulary: Vocabulary, *, length: int, global_batch: int, seed: int) -> Batches:
        """From a shard (the path without `.bin` and `.idx`), or a blend. Raises ModelwrightError if it has less than one batch."""
        texts = opened(shard, objective.spans(length), seed=seed, length=length)
        if texts.count < global_batch:
            tokens = sum(len(each.tokens) for each, _ in texts.by_shard(np.arange(0)))
            raise ModelwrightError(
                f"{shard}.bin: {tokens:,} tokens make {texts.count} sequences of {length}, fewer than "
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

    def positions(self, batch: Mapping[str, torch.Tensor]) -> int:
        """Of each sequence of a batch."""
        return self.length

    def tokens(self, drawn: int) -> int:
        """Positions of the first so many sequences."""
        return drawn * self.length

    def example(self, number: int) -> dict[str, NDArray[np.generic]]:
        # 1 sets these numbers apart from those that shuffle
        random = np.random.default_rng([self.seed, 1, number, 0])
        return self.objective.example(Passage(self.texts.spans(number), self.length, self.vocabulary, random))
