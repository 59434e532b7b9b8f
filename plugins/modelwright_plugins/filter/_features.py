"""What a text's classifier sees: its words and runs of words, in hash buckets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from modelwright_plugins.filter._keywords import ALONE
from modelwright_plugins.filter._runs import runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKEN = re.compile(r"\w+|[^\w\s]+")  # words, and what stands between them: `...`, `//`, `!!!`
KNOWN = 1 << 17  # words whose hashes a process remembers: about 20 MB


class Bags:
    """A text as its n-grams of 1 to `ngram` words, each in one of 2 ** `bits` buckets.

    fastText's bag with word n-grams (Joulin et al. 2017, arXiv:1607.01759, section 2), where words share the buckets too, as in Spark's
    HashingTF, which GPT-3's classifier has. Words are in lower case; characters of scripts without spaces are words of their own.
    """

    def __init__(self, ngram: int, bits: int) -> None:
        self.ngram, self.bits = ngram, bits
        self._hash = _Hashes()

    def __reduce__(self) -> tuple[Any, ...]:
        return Bags, (self.ngram, self.bits)

    def buckets(self, text: str) -> NDArray[np.int64]:
        """The bucket of each n-gram, those that come twice twice; in no order that means anything. Empty without words."""
        words = tokens(text)
        if len(self._hash) > KNOWN:
            self._hash.clear()
        hashes = np.fromiter(map(self._hash.__getitem__, words), np.uint64, len(words))
        found = [every >> np.uint64(64 - self.bits) for _, every in runs(hashes.view(np.int64), [*range(1, self.ngram + 1)])]
        together: NDArray[np.int64] = np.concatenate(found).view(np.int64) if found else np.zeros(0, np.int64)
        return together

    def shares(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Each bucket that is there, ascending, and its share of the n-grams."""
        found = self.buckets(text)
        there, counts = np.unique(found, return_counts=True)
        return there.astype(np.int32), counts / max(1, len(found))


def tokens(text: str) -> list[str]:
    text = text.lower()
    if not text.isascii():
        text = ALONE.sub(r" \1 ", text)
    return TOKEN.findall(text)


class _Hashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        self[word] = made = xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass"))
        return made
