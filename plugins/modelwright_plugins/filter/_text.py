"""What several filters need of one text, found once: its words as numbers, its lines. The last text is kept, so that the filters of a
document share it."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.filter._chunks import Chunks, SpacyChunks, Vocabulary

Mode = Literal["exact", "fast"]
_tables: dict[str, Chunks] = {}
_last: dict[str, Text] = {}


class Text:
    """A text as a mode sees it."""

    def __init__(self, text: str, mode: Mode) -> None:
        self.text, self.mode = text, mode

    @cached_property
    def chunks(self) -> list[str]:
        """What is between blanks."""
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """Between line feeds, without empty ones."""
        return list(filter(None, self.text.split("\n")))

    @cached_property
    def all_lines(self) -> list[str]:
        """Between all that Unicode takes for the end of a line, empty ones too."""
        return self.text.splitlines()

    @cached_property
    def _cut(self) -> tuple[Vocabulary, NDArray[np.int64]]:
        table = spacy_chunks() if self.mode == "exact" else _simple_chunks()
        return table.vocabulary, table.tokens(self.text, self.chunks)

    @property
    def vocabulary(self) -> Vocabulary:
        return self._cut[0]

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The number of each word."""
        return self._cut[1]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each word."""
        return self.vocabulary.length(self.tokens)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Characters of the words before each word, and of all."""
        ends = np.zeros(len(self.tokens) + 1, np.int64)
        np.cumsum(self.lengths, out=ends[1:])
        return ends


def read(text: str, mode: Mode) -> Text:
    last = _last.get(mode)
    if last is None or last.text != text:
        last = _last[mode] = Text(text, mode)
    return last


def spacy_chunks() -> SpacyChunks:
    """The table of spaCy's words; a full one makes room for the next."""
    table = _tables.get("exact")
    table = table if isinstance(table, SpacyChunks) else None
    if table is None or table.full():
        table = _tables["exact"] = SpacyChunks(table)
    return table


def _simple_chunks() -> Chunks:
    table = _tables.get("fast")
    if table is None or table.full():
        table = _tables["fast"] = Chunks()
    return table
