"""Dedupers: of documents that say the same, one stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Deduper(Component, ABC):
    """Of each group of documents that it takes for the same, keeps one: the first in the source's order.

    Signatures are computed by many tasks and compared by one; reading, numbering and removing are done for it (`_steps.py`).
    """

    reason: ClassVar[str]  # what a document that goes is counted under

    @abstractmethod
    def sign(self, texts: Sequence[str]) -> NDArray[np.unsignedinteger]:
        """Signatures of `texts`: (documents, values). Each depends on its own text only."""

    @abstractmethod
    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """From the signatures of all documents, in order (a memory map), the number of the document that stands for each:
        (documents,), itself for one that stays."""
