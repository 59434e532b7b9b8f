"""Hashes of words, of many texts at a time and without a Python object for a word."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.powers import codes_of, powers_to

WORD = re.compile(r"\w+")


def word_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of the words, (words,), lower-cased and one text after the other, and how many each text has, (texts,).

    Words are what `\\w+` finds. A word's hash is its polynomial, the sum of character * BASE^place modulo 2^64, mixed: a difference of
    two prefix sums over all characters, divided by the power at the word's beginning.
    """
    lower = [text.lower() for text in texts]  # each by itself: what becomes of a capital sigma depends on what follows it
    codes = codes_of("\n".join(lower))
    inside = _in_words()[codes]
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    begins, ends = edges[::2], edges[1::2]
    powers, inverses = powers_to(len(codes))
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(codes * powers[: len(codes)], out=sums[1:])
    hashes = mixed((sums[ends] - sums[begins]) * inverses[begins])
    text_ends = np.cumsum([len(text) + 1 for text in lower], dtype=np.int64)
    return hashes, np.diff(np.searchsorted(begins, text_ends), prepend=0)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: every bit of `x` reaches every bit of the result."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@cache
def _in_words() -> NDArray[np.bool_]:
    """For each code point whether `\\w` matches it; Python's own answer."""
    found = np.zeros(sys.maxunicode + 1, dtype=bool)
    for run in WORD.finditer("".join(map(chr, range(len(found))))):
        found[run.start() : run.end()] = True
    return found
