"""FineWeb's rules as datatrove decides them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from datatrove.utils.text import TERMINAL_PUNCTUATION

from modelwright_plugins.filter._gopher import repeated
from modelwright_plugins.filter._text import Text, read
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.filter.fineweb import FineWebQuality


class FineWeb(Measured):
    """datatrove's FineWebQualityFilter: the same rules in the same order, with the same reasons."""

    name = "FineWeb quality"

    def __init__(self, rules: FineWebQuality) -> None:
        super().__init__()
        self.rules = rules

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        rules, text = self.rules, read(doc.text, self.rules.mode)
        lines = _lines(text)
        if not lines:
            return False, "empty"
        if _punctuated(lines) < rules.min_punctuated_lines:
            return False, "line_punct_ratio"
        if _short(lines, rules.short_line) > rules.max_short_lines:
            return False, "short_line_ratio"
        ends = doc.text.count("\n")
        if repeated(lines)[0] / (len(doc.text) - ends) > rules.max_duplicate_line_characters:
            return False, "char_dup_ratio"
        # a chunk is a word or more
        if ends / len(text.chunks) > rules.max_newline_ratio and ends / len(text.tokens) > rules.max_newline_ratio:
            return False, "list_ratio"
        return True

    def bounds(self) -> Mapping[str, Bounds]:
        return {
            "share of lines that end in punctuation": Bounds(least=self.rules.min_punctuated_lines),
            f"share of lines of at most {self.rules.short_line} characters": Bounds(most=self.rules.max_short_lines),
            "share of characters in repeated lines": Bounds(most=self.rules.max_duplicate_line_characters),
            "line ends for each word": Bounds(most=self.rules.max_newline_ratio),
        }

    def measure(self, document: Document) -> Mapping[str, float]:
        text = read(document.text, self.rules.mode)
        lines = _lines(text)
        if not lines:
            return {}
        ends = document.text.count("\n")
        values = (
            _punctuated(lines),
            _short(lines, self.rules.short_line),
            repeated(lines)[0] / (len(document.text) - ends),
            ends / len(text.tokens),
        )
        return dict(zip(self.bounds(), values, strict=True))


def _lines(text: Text) -> list[str]:
    """Lines that are not blank."""
    lines = text.lines
    return list(itertools.filterfalse(str.isspace, lines))


def _punctuated(lines: list[str]) -> float:
    return sum(map(TERMINAL_PUNCTUATION.__contains__, [line[-1] for line in lines])) / len(lines)


def _short(lines: list[str], most: int) -> float:
    return sum(map(most.__ge__, map(len, lines))) / len(lines)
