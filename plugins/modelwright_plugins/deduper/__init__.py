"""Dedupers: of what says the same, one stays."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Component
from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.source import Source


@dataclass(frozen=True, kw_only=True)
class Deduper(Component, ABC):
    """Of each group of units that it takes for the same, keeps one. A unit is a document, or a part of one (`spans`).

    Signatures are computed by many tasks and compared by one; reading, numbering and removing are done for it (`_steps.py`).
    """

    against: tuple[str, ...] = ()  # other data: what it has goes from here; JSON Lines and text files, folders of them, or globs

    reason: ClassVar[str]  # what a document that goes is counted under

    def others(self) -> list[Source]:
        """`against` as sources of one file each, in order: their documents are numbered before all. ModelwrightError: nothing is there."""
        from modelwright_plugins.source.jsonl import Jsonl
        from modelwright_plugins.source.paths import find
        from modelwright_plugins.source.text import Text

        if not self.against:
            return []
        json = (".jsonl", ".jsonl.gz", ".jsonl.zst")
        files = find(self.against, (*json, ".txt", ".md", ".rst"), "against")
        return [Jsonl(paths=[str(file)]) if file.name.endswith(json) else Text(paths=[str(file)]) for file in files]

    def problems(self) -> list[str]:
        """What would stop it, one line each: files that are not there. Called before anything runs."""
        try:
            self.others()
        except ModelwrightError as error:
            return [str(error)]
        return []

    def fingerprint(self) -> str:
        """A hash of the names, sizes and times of all files of `against`."""
        told = " ".join(source.fingerprint() for source in self.others())
        return hashlib.sha256(told.encode()).hexdigest() if told else ""

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
