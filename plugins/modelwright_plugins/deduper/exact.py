"""Exact duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper.normalized import Normalized, equal_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Exact(Normalized):
    """Removes a text that is the same as an earlier one when both are normalised (128-bit xxHash)."""

    reason: ClassVar[str] = "duplicate"

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint64]:
        """(documents, 2): the halves of XXH3-128."""
        return self.hashes(texts)

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        return equal_rows(signatures)
