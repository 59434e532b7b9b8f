"""How much of a text is in n-grams of words that come again: datatrove's numbers, by arrays.

Whether n-grams come again is asked of their hashes first. Equal hashes of different n-grams can only raise a bound, so a text that stays
for its bound stays; every other is counted by its words themselves.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.filter._text import Text

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
MIX = np.uint64(0xD6E8FEB86659FD93)
KEPT = 2**18  # characters: the powers for texts up to this are kept
_powers: dict[str, Any] = {"count": 0}


class Grams:
    """The n-grams of a text's words."""

    def __init__(self, text: Text) -> None:
        self.text, self.tokens, self.ends, self.size = text, text.tokens, text.ends, len(text.text)

    def longest(self, n: int) -> int:
        """Characters of the longest n-gram without blanks; 0: the text has less than n words."""
        return int((self.ends[n:] - self.ends[:-n]).max()) if len(self.tokens) >= n else 0

    @cached_property
    def most_pairs(self) -> int:
        """Not less than how often the most frequent pair of words comes."""
        t = self.tokens.astype(np.uint32)
        keys = np.sort(t[:-1] * np.uint32(0x9E3779B1) + t[1:] * np.uint32(0x85EBCA77))
        borders = np.flatnonzero(keys[1:] != keys[:-1])
        if not len(borders):
            return len(keys)
        return int(max(borders[0] + 1, len(keys) - 1 - borders[-1], np.diff(borders).max(initial=0)))

    def top(self, n: int) -> int:
        """Characters of the most frequent n-gram (of several: the first), with blanks between its words, times how often it comes."""
        keys = self.tokens
        for words in range(1, n):
            _, keys = np.unique(keys, return_inverse=True)
            keys = keys[:-1] * (self.tokens.max() + 1) + self.tokens[words:]
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        most = counts.max()
        place = int(first[counts == most].min())
        return int(self.ends[place + n] - self.ends[place] + n - 1) * int(most)

    def top_above(self, n: int, share: float) -> bool:
        """Whether the most frequent n-gram is more than this share of the text's characters."""
        if len(self.tokens) < n:
            return False
        if n > 1 and self.most_pairs * (self.longest(n) + n - 1) / self.size <= share:  # an n-gram is no more frequent than its first pair
            return False
        return self.top(n) / self.size > share

    @cached_property
    def hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of the text's characters without blanks up to each word's begin, and what makes a difference of two independent of its place:
        n-grams whose words put together are the same text have the same hash, as datatrove has it."""
        joined = "".join(self.text.chunks)
        codes = np.frombuffer(joined.encode("latin-1"), np.uint8) if joined.isascii() else _codes(joined)
        powers, inverses = _table(len(joined) + 1)
        sums = np.zeros(len(joined) + 1, np.uint64)
        np.cumsum(codes * powers[: len(joined)], out=sums[1:])
        return sums[self.ends], inverses[self.ends]

    def keys(self, n: int) -> NDArray[np.uint32]:
        sums, inverses = self.hashes
        found: NDArray[np.uint32] = (((sums[n:] - sums[:-n]) * inverses[:-n]) >> np.uint64(32)).astype(np.uint32)
        return found

    def repeats(self, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The keys that come again, once for each time."""
        ordered = np.sort(keys)
        return ordered[1:][ordered[1:] == ordered[:-1]]

    def duplicate(self, n: int, share: float | None = None) -> int:
        """Characters in n-grams that came before, those that overlap a counted one passed over. With a share of the text's characters it
        may end as soon as they are more, and give 0 where they can't be."""
        if len(self.tokens) < n:
            return 0
        keys = self.keys(n)
        again = self.repeats(keys)
        if not len(again) or (share is not None and len(again) * self.longest(n) / self.size <= share):
            return 0
        again = np.unique(again)
        places = np.minimum(np.searchsorted(again, keys), len(again) - 1)
        joined, ends = "".join(self.text.chunks), self.ends.tolist()
        seen: set[str] = set()
        characters = free = 0
        for place in np.flatnonzero(again[places] == keys).tolist():
            if place < free:
                continue
            begin, end = ends[place], ends[place + n]
            gram = joined[begin:end]
            if gram not in seen:
                seen.add(gram)
                continue
            characters += end - begin
            free = place + n
            if share is not None and characters / self.size > share:
                break
        return characters

    def duplicate_above(self, n: int, share: float) -> bool:
        """Whether more than this share of the text's characters is in n-grams that came before."""
        return self.duplicate(n, share) / self.size > share

    def few_again(self, n: int, most: int, share: float) -> bool:
        """Whether so few n-grams of words come again that no share of n-grams of n to `most` words can be above this. A longer n-gram
        comes again only where its first n words do."""
        count = len(self.tokens) - n + 1
        if count < 2:
            return True
        t = self.tokens.astype(np.uint32)
        keys = np.zeros(count, np.uint32)
        for word in range(n):
            keys += t[word : word + count]
            keys *= np.uint32(0x9E3779B1)
            keys ^= keys >> np.uint32(15)
        again = len(self.repeats(keys))
        longest = self.longest(min(most, len(self.tokens)))
        return not again or again * longest / self.size <= share


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _table(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """BASE to the power of 0, 1, ... modulo 2**64, and the inverses of these, mixed."""
    if count <= _powers["count"]:
        return _powers["powers"], _powers["inverses"]
    many = max(4096, 2 * count) if count <= KEPT else count
    steps = np.full(many, BASE, np.uint64)
    steps[0] = 1
    powers = np.cumprod(steps)
    steps[1:] = pow(BASE, -1, 2**64)
    inverses = np.cumprod(steps) * MIX
    if count <= KEPT:
        _powers.update(count=many, powers=powers, inverses=inverses)
    return powers, inverses
