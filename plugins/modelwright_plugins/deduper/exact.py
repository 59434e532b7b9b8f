"""Exact duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Exact(Deduper):
    """Removes a text that is the same as an earlier one (128-bit xxHash)."""

    normalize: bool = True  # compare lower-cased words with single blanks between them; false: the bytes as they are

    reason: ClassVar[str] = "duplicate"

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint64]:
        """(documents, 2): the halves of XXH3-128."""
        import numpy as np
        import xxhash

        if self.normalize:
            texts = [" ".join(text.lower().split()) for text in texts]
        digests = b"".join(xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass")) for text in texts)
        return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        import numpy as np

        keys = np.ascontiguousarray(signatures).view([("a", "<u8"), ("b", "<u8")]).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return first[inverse].astype(np.int64)
