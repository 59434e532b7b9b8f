"""Near duplicates, by MinHash and locality-sensitive hashing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMPTY = 0xFFFFFFFF  # all values of a document that has no n-gram
PIECE = 1 << 17  # characters


@dataclass(frozen=True, kw_only=True)
class MinHash(Deduper):
    """Removes a text whose word n-grams are nearly those of an earlier one.

    MinHash (Broder 1997) with banding: two texts are compared when all rows of one band agree, which at Jaccard similarity s
    happens with probability 1 - (1 - s^rows)^bands (0.92 at 0.8 with 14 x 8), and are near duplicates when the similarity
    estimated from all bands * rows values (standard error below 0.05) reaches `min_similarity`. Groups are what such
    pairs connect, in whatever order texts come; the first of each group stays. Numbers of bands and rows, and n: FineWeb
    (arXiv:2406.17557, section 3.4).
    """

    ngram: int = 5  # words (runs of letters, digits and underscores, lower-cased)
    bands: int = 14  # parts of a signature; texts are compared when one part agrees
    rows: int = 8  # hash values in a band
    min_similarity: float = 0.65  # estimated Jaccard similarity, 0 to 1; one standard error below 0.7, or half of the pairs at 0.7 are lost
    seed: int = 1  # of the hash functions

    reason: ClassVar[str] = "near_duplicate"

    def __post_init__(self) -> None:
        if min(self.ngram, self.bands, self.rows) < 1:
            raise ValueError(f"ngram, bands and rows must be at least 1, got {self.ngram}, {self.bands}, {self.rows}")
        if not 0 <= self.min_similarity <= 1:
            raise ValueError(f"min_similarity is {self.min_similarity}; it is a similarity from 0 to 1")

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint32]:
        """(documents, bands * rows): minima of the upper halves of 64-bit hashes; all ones for a text with fewer than n words."""
        import numpy as np

        out = np.full((len(texts), self.bands * self.rows), EMPTY, dtype=np.uint32)
        random = np.random.Generator(np.random.PCG64(self.seed))
        factors = random.integers(0, 2**64, out.shape[1], dtype=np.uint64) | np.uint64(1)  # odd: h -> a h + b is a bijection
        terms = random.integers(0, 2**64, out.shape[1], dtype=np.uint64)
        for begin, end in _pieces(texts):
            grams, starts = self._grams(texts[begin:end])
            some = np.flatnonzero(np.diff(starts))
            if not len(some):
                continue
            hashed, minima = np.empty_like(grams), np.empty((out.shape[1], len(some)), dtype=np.uint64)
            for row, factor, term in zip(minima, factors, terms, strict=True):
                np.multiply(grams, factor, out=hashed)
                np.add(hashed, term, out=hashed)
                np.minimum.reduceat(hashed, starts[some], out=row)
            out[begin + some] = (minima >> np.uint64(32)).T
        return out

    def _grams(self, texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """A 64-bit hash of every n-gram of every text, and where each text's begin: (texts + 1,)."""
        import numpy as np

        from modelwright_plugins.deduper._words import mixed, word_hashes

        words, counts = word_hashes(texts)
        rolled = np.zeros(max(len(words) - self.ngram + 1, 0), dtype=np.uint64)
        for place in range(self.ngram):  # sum of h(word) * c^place, modulo 2^64
            rolled += words[place : place + len(rolled)] * np.uint64(pow(0x9E3779B97F4A7C15, place + 1, 2**64))
        ends = np.repeat(np.cumsum(counts), counts)[: len(rolled)]  # of the text that a word is in
        rolled = mixed(rolled[np.arange(self.ngram, self.ngram + len(rolled)) <= ends])  # none reaches over into the next text
        return rolled, np.concatenate([[0], np.cumsum(np.maximum(counts - self.ngram + 1, 0))])

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """In memory: 40 bytes a document, and of the signatures, which are a file, what the system has room for."""
        from modelwright_plugins.deduper._groups import Groups, meetings

        groups = Groups(signatures, self.min_similarity)
        for band in range(self.bands):
            groups.join(*meetings(signatures, slice(band * self.rows, (band + 1) * self.rows), EMPTY))
        return groups.first()


def _pieces(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Neighbouring texts to hash at a time: few enough for a processor's cache, enough to make little of what a piece costs."""
    begin = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= PIECE or end == len(texts):
            yield begin, end
            begin, size = end, 0
