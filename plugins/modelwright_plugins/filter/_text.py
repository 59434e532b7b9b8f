"""What several filters need of one text, found once: its words as numbers, its lines. The last text is kept, so that the filters of a
document share it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from datatrove.pipeline.filters.gopher_quality_filter import STOP_WORDS
from numpy.typing import NDArray

from modelwright_plugins.filter import _pieces
from modelwright_plugins.filter._chunks import SpacyChunks, Vocabulary

Mode = Literal["exact", "fast"]
_tables: dict[str, SpacyChunks] = {}
_last: dict[str, Text] = {}
_stop_words: list[NDArray[np.uint32]] = []


class Text:
    """A text with spaCy's words."""

    mode: Mode = "exact"

    def __init__(self, text: str) -> None:
        self.text = text

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
        table = spacy_chunks()
        return table.vocabulary, table.tokens(self.text, self.chunks)

    @property
    def vocabulary(self) -> Vocabulary:
        return self._cut[0]

    @property
    def tokens(self) -> NDArray[Any]:
        """The number of each word."""
        return self._cut[1]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each word."""
        return self.vocabulary.length(self.tokens)

    @cached_property
    def word_lengths(self) -> NDArray[np.int64]:
        """The same, but 0 of words that are all punctuation."""
        return self.vocabulary.word_length(self.tokens)

    def alphabetic(self) -> int:
        """Words with a letter."""
        return int(np.count_nonzero(self.vocabulary.letters(self.tokens)))

    def stop_words(self) -> int:
        """Different ones."""
        return len(np.unique(self.tokens[self.tokens < len(STOP_WORDS)]))  # the first words of the table

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Characters of the words before each word, and of all."""
        ends = np.zeros(len(self.tokens) + 1, np.int64)
        np.cumsum(self.lengths, out=ends[1:])
        return ends


class SimpleText(Text):
    """A text with words that are nearly spaCy's, found without a table of them."""

    mode: Mode = "fast"

    @cached_property
    def _words(self) -> _pieces.Words:
        return _pieces.Words(self.text)

    @property
    def tokens(self) -> NDArray[Any]:
        return self._words.numbers

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self._words.lengths

    @cached_property
    def _highest(self) -> NDArray[np.uint8]:
        return self._words.highest()

    @cached_property
    def word_lengths(self) -> NDArray[np.int64]:
        return self.lengths * (self._highest >= _pieces.SYMBOL)

    def alphabetic(self) -> int:
        return int(np.count_nonzero(self._highest >= _pieces.LETTER))

    def stop_words(self) -> int:
        if not _stop_words:
            _stop_words.append(_pieces.Words(" ".join(STOP_WORDS)).numbers)
        return int(np.count_nonzero((_stop_words[0][:, None] == self.tokens).any(axis=1)))


def read(text: str, mode: Mode) -> Text:
    last = _last.get(mode)
    if last is None or last.text != text:
        last = _last[mode] = Text(text) if mode == "exact" else SimpleText(text)
    return last


def spacy_chunks() -> SpacyChunks:
    """The table of spaCy's words; a full one makes room for the next."""
    table = _tables.get("exact")
    if table is None or table.full():
        table = _tables["exact"] = SpacyChunks(table)
    return table
