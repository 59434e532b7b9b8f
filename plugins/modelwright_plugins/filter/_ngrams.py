"""How much of a text is in n-grams of words that come again: datatrove's numbers, by arrays.

Whether n-grams come again is asked of their hashes first. Equal hashes of different n-grams can only raise a bound, so a text that stays
for its bound stays; every other is counted by its words themselves.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.filter._text import Text
from modelwright_plugins.powers import codes_of, powers_to

SHIFT, FACTOR = np.uint32(16), np.uint32(0x9E3779B1)
MIX = np.uint64(0xD6E8FEB86659FD93)  # brings what differs into the upper half of a hash
_NONE = np.zeros(0, np.int64)


class Grams:
    """The n-grams of a text's words."""

    def __init__(self, text: Text) -> None:
        self.text, self.tokens, self.ends, self.size = text, text.tokens, text.ends, len(text.text)
        self.exact = text.mode == "exact"
        self._words = self.tokens.astype(np.uint32, copy=False)
        self._common: dict[int, tuple[NDArray[np.int64], NDArray[np.uint32]]] = {}
        self._every, self._in_order = {1: self._words}, dict[int, NDArray[np.uint32]]()

    def top(self, n: int) -> int:
        """Characters of the most frequent n-gram (of several: the first), with blanks between its words, times how often it comes; 0: the
        text has less than n words."""
        if len(self.tokens) < n:
            return 0
        most, place = 1, 0
        places, keys = self.common(n)
        if len(places):
            ends = np.flatnonzero(keys[1:] != keys[:-1])
            counts = np.empty(len(ends) + 1, np.int64)
            counts[:-1], counts[-1] = ends, len(keys) - 1
            counts[1:] -= ends
            counts[0] += 1
            most = int(counts.max())
            frequent = np.repeat(counts == most, counts)
            place = int(places[frequent].min()) if most > 1 else 0
            if most > 1 and self.exact and not self._pure(places[frequent], keys[frequent], n):
                most, place = self._counted(n)
        return int(self.ends[place + n] - self.ends[place] + n - 1) * most

    def _pure(self, places: NDArray[np.int64], keys: NDArray[np.uint32], n: int) -> bool:
        """Whether equal keys, which are side by side, are of equal n-grams."""
        same = keys[1:] == keys[:-1]
        one, other = places[:-1][same], places[1:][same]
        return all(bool((self.tokens[one + word] == self.tokens[other + word]).all()) for word in range(n))

    def _counted(self, n: int) -> tuple[int, int]:
        """How often the most frequent n-gram comes, and where first, without hashes."""
        tokens = self.tokens.tolist()
        counts = Counter(zip(*(tokens[word:] for word in range(n)), strict=False))
        gram, most = counts.most_common(1)[0]
        return most, next(place for place in range(len(tokens)) if tuple(tokens[place : place + n]) == gram)

    def top_above(self, n: int, share: float) -> bool:
        """Whether the most frequent n-gram is more than this share of the text's characters."""
        count = len(self.tokens) - n + 1
        if count < 1:
            return False
        times = share * self.size / (self._longest(n) + n - 1)  # as often comes what is longest and just the share
        more = int(times * (1 - 1e-9))  # so many equal ones are beside one that comes more often; the rest is for rounding
        if more:
            if not len(self._often(2, more)):
                return False
            if not self.exact:
                return bool(n == 2 or len(self._often(n, more))) and self._top_of(n, more) / self.size > share
        # Where one comes more than once, so does its first pair of words: it is no more frequent than the most frequent pair, and no
        # longer than the longest that begins with a pair that comes again. Where none does, it is the first.
        longest = int(self.ends[n])
        places, _ = self.common(2)
        if len(places):
            places = places[places < count]
            longest = max(longest, int((self.ends[places + n] - self.ends[places]).max(initial=0)))
        if self.most_pairs * (longest + n - 1) / self.size <= share:
            return False
        return self.top(n) / self.size > share

    def _longest(self, n: int) -> int:
        """Characters of the longest n words, or of all where they are less."""
        return int((self.ends[n:] - self.ends[:-n]).max()) if len(self.ends) > n else int(self.ends[-1])

    def _often(self, n: int, more: int) -> NDArray[np.uint32]:
        """The hashes of n-grams that come more often than this; others may be among them. None comes more often than a pair in it."""
        ordered = self._ordered(n)
        return ordered[more:][ordered[more:] == ordered[:-more]]

    def _top_of(self, n: int, more: int) -> int:
        """`top`, where one comes more often than this."""
        often = set(self._often(n, more).tolist())
        if len(often) > 8:
            return self.top(n)
        keys = self._all(n)
        found = [np.flatnonzero(keys == key) for key in often]
        most, place = max((len(places), -int(places[0])) for places in found)
        return int(self.ends[n - place] - self.ends[-place] + n - 1) * most

    def _all(self, n: int) -> NDArray[np.uint32]:
        """The hash of the n-gram at each place, from those of its halves."""
        keys = self._every.get(n)
        if keys is None:
            half = (n + 1) // 2
            keys = self._all(half)[: len(self.tokens) - n + 1] * FACTOR
            keys ^= keys >> SHIFT
            keys += self._all(n - half)[half:]
            keys *= FACTOR
            self._every[n] = keys
        return keys

    def _ordered(self, n: int) -> NDArray[np.uint32]:
        keys = self._in_order.get(n)
        if keys is None:
            keys = self._in_order[n] = np.sort(self._all(n))
        return keys

    @cached_property
    def most_pairs(self) -> int:
        """Not less than how often the most frequent pair of words comes."""
        _, keys = self.common(2)
        ends = np.flatnonzero(keys[1:] != keys[:-1])
        if not len(ends):
            return max(1, len(keys))
        return int(max(ends[0] + 1, len(keys) - 1 - ends[-1], (ends[1:] - ends[:-1]).max(initial=0)))

    def common(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Where the n-grams of words that come more than once are, equal ones side by side, and their hashes; others may be among them. An
        n-gram comes again only where its first words do."""
        known = self._common.get(n)
        if known is None:
            count = len(self.tokens) - n + 1
            shorter = max((size for size in self._common if size < n), default=1)
            if shorter == 1:
                if n > 2 and self.exact:
                    self.common(2)
                    return self.common(n)
                places, keys = None, self._all(n)
            else:
                places, keys = self._common[shorter]
                inside = places < count
                places, keys = places[inside], keys[inside]
                for word in range(shorter, n):
                    keys ^= keys >> SHIFT
                    keys += self._words[places + word]
                    keys *= FACTOR
            known = self._common[n] = _equal(places, keys)
        return known

    @cached_property
    def hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of the text's characters without blanks up to each word's begin, and what makes a difference of two independent of its place:
        n-grams whose words put together are the same text have the same hash, as datatrove has it."""
        joined = "".join(self.text.chunks)
        codes = np.frombuffer(joined.encode("latin-1"), np.uint8) if joined.isascii() else codes_of(joined)
        powers, inverses = powers_to(len(joined) + 1)
        sums = np.zeros(len(joined) + 1, np.uint64)
        np.cumsum(codes * powers[: len(joined)], out=sums[1:])
        return sums[self.ends], inverses[self.ends] * MIX

    def keys(self, n: int) -> NDArray[np.uint32]:
        sums, inverses = self.hashes
        found: NDArray[np.uint32] = (((sums[n:] - sums[:-n]) * inverses[:-n]) >> np.uint64(32)).astype(np.uint32)
        return found

    def covered(self, places: NDArray[np.int64], n: int) -> int:
        """Characters of all words within n words from one of these places."""
        steps = np.zeros(len(self.tokens) + n + 1, np.int32)
        steps[places] += 1
        steps[places + n] -= 1  # the places differ
        inside = np.cumsum(steps[: len(self.tokens)]) > 0
        return int(self.text.lengths[inside].sum())

    def duplicate(self, n: int, share: float | None = None) -> int:
        """Characters in n-grams that came before, those that overlap a counted one passed over. In mode exact, n-grams are equal as
        datatrove has it: put together without blanks. With a share of the text's characters it
        may end as soon as they are more, and give 0 where they can't be."""
        if len(self.tokens) < n:
            return 0
        places, keys = _equal(None, self.keys(n)) if self.exact else self.common(n)
        if not len(places) or (share is not None and self.covered(places[1:][keys[1:] == keys[:-1]], n) / self.size <= share):
            return 0
        order = np.argsort(places)
        joined, ends = "".join(self.text.chunks) if self.exact else "", self.ends.tolist()
        seen: set[str | int] = set()
        characters = free = 0
        for place, key in zip(places[order].tolist(), keys[order].tolist(), strict=True):
            if place < free:
                continue
            begin, end = ends[place], ends[place + n]
            gram = joined[begin:end] if self.exact else key
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
        """Whether so few n-grams of words come again that no share of n-grams of n to `most` words can be above this."""
        if len(self.tokens) < n:
            return True
        ordered = self._ordered(n)
        again = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
        if again * self._longest(most) / self.size <= share:
            return True
        places, keys = self.common(n)
        places = places[1:][keys[1:] == keys[:-1]]
        lengths = self.ends[np.minimum(places + most, len(self.tokens))] - self.ends[places]
        return int(lengths.sum()) / self.size <= share or self.covered(places, most) / self.size <= share


def _equal(places: NDArray[np.int64] | None, keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Of these places (None: all), those whose keys may come more than once, and their keys; equal ones side by side, each in order."""
    if len(keys) > 64:
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return _NONE, keys[:0]
        marked = np.zeros(2**16, bool)
        marked[twice >> SHIFT] = True
        inside = np.flatnonzero(marked[keys >> SHIFT])
        keys, places = keys[inside], inside if places is None else places[inside]
    elif places is None:
        places = np.arange(len(keys))
    order = np.argsort(keys, kind="stable")
    return places[order], keys[order]
