"""Texts that differ in blanks and signs only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class SameLetters(Deduper):
    """Removes a text whose letters and digits are those of an earlier one, in the same order (128-bit BLAKE2b)."""

    keep_case: bool = False  # capitals and small letters are different

    reason: ClassVar[str] = "same_letters"

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint64]:
        """(documents, 2): the halves of the hash of a text's letters and digits."""
        import hashlib

        import numpy as np

        digests = b""
        for text in texts:
            letters = "".join(c for c in (text if self.keep_case else text.casefold()) if c.isalnum())
            digests += hashlib.blake2b(letters.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        import numpy as np

        seen: dict[bytes, int] = {}
        return np.array([seen.setdefault(row.tobytes(), number) for number, row in enumerate(signatures)], dtype=np.int64)
