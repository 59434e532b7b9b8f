"""Dedupers: of what says the same, one stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Deduper(Component, ABC):
    """Of each group of units that it takes for the same, keeps one. A unit is a document, or a part of one (`spans`).

    Signatures are computed by many tasks and compared by one; reading, numbering and removing are done for it (`_steps.py`).
    """

    reason: ClassVar[str]  # what a document that goes is counted under

    def spans(self, text: str) -> NDArray[np.int64]:
        """Where the text's units begin and end, in characters, in order and without overlaps: (units, 2). By default the text is one."""
        import numpy as np

        return np.array([[0, len(text)]], dtype=np.int64)

    @abstractmethod
    def sign(self, texts: Sequence[str]) -> NDArray[np.unsignedinteger]:
        """Signatures of the units of `texts`, one text after the other: (units, values). A text's depend on it only."""

    @abstractmethod
    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """From the signatures of all units, in order (a memory map), the number of the unit that stands for each: (units,), itself
        for one that stays. Of copies the first stays."""

    def cut(self, text: str, stays: NDArray[np.bool_]) -> str:
        """The text without the units of which `stays`, (units,), is false. When nothing but blanks is left, the document goes."""
        spans = self.spans(text)
        return "".join(text[begin:end] for begin, end in spans[stays].tolist())
