"""Near duplicates, by MinHash and locality-sensitive hashing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class MinHash(Deduper):
    """Removes a text whose word n-grams are nearly those of an earlier one.

    MinHash (Broder 1997) with banding: two texts are compared when all rows of one band agree, which at Jaccard similarity s
    happens with probability 1 - (1 - s^rows)^bands (0.92 at 0.8 with 14 x 8), and are near duplicates when the similarity
    estimated from all bands * rows values (standard error below 0.05) reaches `min_similarity`. Groups are what such
    pairs connect; the first of each group stays. Numbers of bands and rows, and n: FineWeb (arXiv:2406.17557, section 3.4).
    """

    ngram: int = 5  # words (runs of letters, digits and underscores, lower-cased)
    bands: int = 14  # parts of a signature; texts are compared when one part agrees
    rows: int = 8  # hash values in a band
    min_similarity: float = 0.7  # estimated Jaccard similarity, 0 to 1; near where banding's probability is steepest, (1/14)^(1/8) = 0.72
    seed: int = 1  # of the hash functions

    reason: ClassVar[str] = "near_duplicate"

    def __post_init__(self) -> None:
        if min(self.ngram, self.bands, self.rows) < 1:
            raise ValueError(f"ngram, bands and rows must be at least 1, got {self.ngram}, {self.bands}, {self.rows}")

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint32]:
        """(documents, bands * rows): minima of the upper halves of 64-bit hashes; all ones for a text with fewer than n words."""
        import numpy as np

        grams, starts = self._grams(texts)
        out = np.full((self.bands * self.rows, len(texts)), 0xFFFFFFFF, dtype=np.uint32)
        some = np.flatnonzero(np.diff(starts))
        random = np.random.Generator(np.random.PCG64(self.seed))
        factors = random.integers(0, 2**64, len(out), dtype=np.uint64) | np.uint64(1)  # odd: h -> a h + b is a bijection
        terms = random.integers(0, 2**64, len(out), dtype=np.uint64)
        for row, factor, term in zip(out, factors, terms, strict=True):
            if len(some):
                row[some] = np.minimum.reduceat(grams * factor + term, starts[some]) >> np.uint64(32)
        return np.ascontiguousarray(out.T)

    def _grams(self, texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """A 64-bit hash of every n-gram of every text, and where each text's begin: (texts + 1,)."""
        import numpy as np
        import xxhash

        known: dict[str, int] = {}
        hashes: list[int] = []
        lengths = []
        for text in texts:
            words = WORD.findall(text.lower())
            lengths.append(len(words))
            for word in words:
                if (value := known.get(word)) is None:
                    value = known[word] = xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass"))
                hashes.append(value)
        words64 = np.array(hashes, dtype=np.uint64)
        rolled = np.zeros(max(len(words64) - self.ngram + 1, 0), dtype=np.uint64)
        for place in range(self.ngram):  # sum of h(word) * c^place, modulo 2^64
            rolled += words64[place : place + len(rolled)] * np.uint64(pow(0x9E3779B97F4A7C15, place + 1, 2**64))
        rolled = _mixed(rolled)
        ends = np.cumsum(lengths, dtype=np.int64)
        counts = np.maximum(np.array(lengths, dtype=np.int64) - self.ngram + 1, 0)
        inside = np.ones(len(rolled), dtype=bool)
        for end in ends[:-1]:  # n-grams that would reach over into the next text
            inside[max(end - self.ngram + 1, 0) : end] = False
        return rolled[inside], np.concatenate([[0], np.cumsum(counts)])

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        import numpy as np

        parent = np.arange(len(signatures), dtype=np.int64)

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = int(parent[i])
            return i

        signed = np.flatnonzero((signatures != 0xFFFFFFFF).any(axis=1))
        for band in range(self.bands):
            rows = signatures[signed, band * self.rows : (band + 1) * self.rows].astype(np.uint64)
            key = np.zeros(len(rows), dtype=np.uint64)
            for column in rows.T:
                key = _mixed(key ^ column)
            order = np.argsort(key, kind="stable")  # equal keys stay in the order of documents
            cuts = np.flatnonzero(np.diff(key[order])) + 1
            begins, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(order)]])
            for begin, end in zip(begins[ends - begins > 1], ends[ends - begins > 1], strict=True):
                rest = signed[order[begin:end]]
                while len(rest) > 1:
                    similar = (signatures[rest[1:]] == signatures[rest[0]]).mean(axis=1) >= self.min_similarity
                    for other in rest[1:][similar]:
                        a, b = sorted((root(int(rest[0])), root(int(other))))
                        parent[b] = a  # the earlier document is the root
                    rest = rest[1:][~similar]
        return np.array([root(i) for i in range(len(parent))], dtype=np.int64)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: every bit of `x` reaches every bit of the result."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
