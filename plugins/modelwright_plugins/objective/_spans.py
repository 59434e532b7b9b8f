"""Spans of whole words, as SpanBERT masks them (Joshi et al. 2019, arXiv:1907.10529, section 3.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@lru_cache
def chances(success: float, longest: int) -> NDArray[np.floating[Any]]:
    """Of each length from 1 up: geometric, of those up to the longest."""
    found = success * (1 - success) ** np.arange(longest)
    return found / found.sum()


def spanned(
    eligible: NDArray[np.bool_], words: Numbers, rate: float, *, success: float, longest: int, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which of the `eligible` positions [length] are targets: spans of whole words (`words` [length] are their numbers) until they make up
    round(rate x eligible), at least one. Each begins with any word that is no target yet, and has as many words as it draws, those that
    are targets already among them; it ends early where what follows is not eligible, or would make too many."""
    places = np.flatnonzero(eligible)
    found = np.zeros(len(eligible), dtype=bool)
    if not len(places):
        return found
    begins = np.flatnonzero(np.diff(words[places], prepend=-1) | (np.diff(places, prepend=-1) > 1))
    first = places[begins]
    after = places[np.append(begins[1:], len(places)) - 1] + 1
    left = max(round(rate * len(places)), 1)
    lengths = random.choice(np.arange(1, longest + 1), size=len(first), p=chances(success, longest))
    for word, length in zip(random.permutation(len(first)).tolist(), lengths.tolist(), strict=True):
        if left == 0:
            break
        if found[first[word]]:
            continue
        for each in range(word, min(word + length, len(first))):
            if each > word and first[each] != after[each - 1]:
                break
            if found[first[each]]:
                continue
            if after[each] - first[each] > left:
                break
            found[first[each] : after[each]] = True
            left -= int(after[each] - first[each])
    if not found.any():  # every word is longer than that
        word = int((after - first).argmin())
        found[first[word] : after[word]] = True
    return found


def edges(targets: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The positions before and after the span that each target is in: [length] -> [length, 2]; 0 where there is none."""
    steps = np.diff(targets.astype(np.int64), prepend=0, append=0)
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    found = np.zeros((len(targets), 2), dtype=np.int64)
    found[targets] = np.repeat(np.stack([starts - 1, ends], 1), ends - starts, axis=0)
    return found
