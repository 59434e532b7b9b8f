"""What makes two texts the same although they are written differently."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Normalized(Deduper):
    """Dedupers that compare normalised texts by a hash of 128 bits. A text of which nothing would be left is compared as it is."""

    nfkc: bool = False  # by Unicode's compatibility forms: the ligature fi is f and i, full-width letters are letters
    lower: bool = True  # by lower-case letters
    punctuation: bool = True  # punctuation counts (Unicode's categories P); false: texts are compared without it
    blanks: bool = True  # any blanks between words are one blank, and those at the ends are none; false: as they are

    def hashes(self, texts: Sequence[str]) -> NDArray[np.uint64]:
        """(texts, 2): the halves of XXH3-128 of each normalised text."""
        import numpy as np
        import xxhash

        digests = b"".join(xxhash.xxh3_128_digest(self.normal(text).encode("utf-8", "surrogatepass")) for text in texts)
        return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)

    def normal(self, text: str) -> str:
        """What is compared."""
        found = text
        if self.nfkc and not found.isascii():
            found = unicodedata.normalize("NFKC", found)
        if self.lower:
            found = found.lower()
        if not self.punctuation:
            found = found.translate(_punctuation())
        if self.blanks:
            found = " ".join(found.split())
        return found or text


@cache
def _punctuation() -> dict[int, None]:
    return {code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P")}


def equal_rows(rows: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """For each row the number of the first row that is the same. `rows`: (rows, values)."""
    import numpy as np

    order = np.lexsort(rows.T)  # equal rows stay in order
    changes = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    begins = np.flatnonzero(np.append(True, changes)[: len(rows)])
    first = np.empty(len(rows), dtype=np.int64)
    first[order] = np.repeat(order[begins], np.diff(np.append(begins, len(rows))))
    return first
