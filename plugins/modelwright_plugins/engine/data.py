"""What a training learns from, whatever it is made of: token shards, stored examples, or a model's own replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import torch

from modelwright_plugins.engine.position import Position
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


class Data(Protocol):
    """Batches by their numbers alone, the same under every layout."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def length(self) -> int:
        """Positions of a row at most."""

    @property
    def seed(self) -> int:
        """What every random choice is drawn from."""

    @property
    def rows(self) -> int:
        """Of each number in a batch."""

    def batch(self, first: int, size: int, part: int = 0, parts: int = 1) -> dict[str, torch.Tensor]:
        """Part `part` of `parts` of the numbers `first` to `first + size` - 1: tensors [size / parts * rows, …] by name."""

    def positions(self, batch: Mapping[str, torch.Tensor]) -> int:
        """Of each row of a batch that is laid out."""

    def updated(self, position: Position) -> None:
        """After each update, which `position` counts already: what is known of it only now is added there."""

    def read(self, position: Position) -> int:
        """Tokens trained on up to there, without what only fills up."""

    def come(self, position: Position) -> tuple[int, str]:
        """How far a training has come that stands there, for a progress bar: so many, and of what."""


class Counted(ABC):
    """Data whose tokens are known before they are read: `Data`'s counts of them."""

    @abstractmethod
    def tokens(self, drawn: int) -> int:
        """Positions of the first so many draws, over all epochs; without what only fills up."""

    def updated(self, position: Position) -> None:  # noqa: B027 - data that know more are few
        """Nothing is known only now."""

    def read(self, position: Position) -> int:
        found, covered = self.tokens(position.drawn), 0
        for begin, end in sorted((each["first"], each["first"] + each["sequences"]) for each in position.skipped):
            if end > covered:  # a range that was gone back over twice is within the second one
                found -= self.tokens(end) - self.tokens(max(begin, covered))
                covered = end
        return found

    def come(self, position: Position) -> tuple[int, str]:
        return self.read(position), "tok"
