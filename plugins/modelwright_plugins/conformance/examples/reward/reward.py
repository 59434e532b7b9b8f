"""How many different words a reply has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class DistinctWords(Reward):
    """The share of a reply's n-grams of words that are different (distinct-n: Li et al. 2016, arXiv:1510.03055)."""

    n: int = 1  # words in a row

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise ValueError(f"n is {self.n}; it is 1 or more")

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        return [self._score(each.reply) for each in asked]

    def _score(self, reply: str) -> float:
        words = reply.lower().split()
        grams = [tuple(words[place : place + self.n]) for place in range(len(words) - self.n + 1)]
        return len(set(grams)) / len(grams) if grams else 0.0
