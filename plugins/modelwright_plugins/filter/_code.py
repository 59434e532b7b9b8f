"""A datatrove filter that measures files of source code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

# Statistic -> what it is called where it is shown, and why a file goes; in the order in which they are looked at
STATISTICS = {
    "longest": ("characters of the longest line", "a_long_line"),
    "mean": ("characters of a line on average", "long_lines"),
    "lines": ("lines", "too_many_lines"),
    "alphanumeric": ("share of letters and digits", "too_few_letters_and_digits"),
    "alphabetic": ("share of letters", "too_few_letters"),
    "encoded_run": ("characters of the longest encoded piece", "a_long_encoded_piece"),
    "encoded": ("share of encoded characters", "mostly_encoded"),
}
# StarCoder 2 (Lozhkov et al. 2024, arXiv:2402.19173, section 2.1); possessive, so that time stays linear
ENCODED = (
    re.compile(r"[a-zA-Z0-9+/\n=]{64,}+"),  # base64
    re.compile(r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*+)){8,}+"),  # 0x1f,0x8b… and 1f 8b …
    re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}+"),
)


class CodeStatistics(Measured):
    """Bounds by statistic; a statistic without any is not computed."""

    name = "code lines"

    def __init__(self, bounds: Mapping[str, tuple[float | None, float | None]], long_lines: tuple[str, ...], long_line: int) -> None:
        super().__init__()
        self.limits = {name: limit for name, limit in bounds.items() if limit != (None, None)}
        self.long_lines, self.long_line = frozenset(long_lines), long_line

    def bounds(self) -> Mapping[str, Bounds]:
        return {STATISTICS[name][0]: Bounds(*limit) for name, limit in self.limits.items()}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {STATISTICS[name][0]: value for name, value in self._measured(document).items()}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if doc.metadata.get("programming_language") in self.long_lines and max(map(len, doc.text.splitlines()), default=0) > self.long_line:
            return False, STATISTICS["longest"][1]
        found = self._measured(doc)
        for name, (least, most) in self.limits.items():
            value = found.get(name)
            if value is not None and ((least is not None and value < least) or (most is not None and value > most)):
                return False, STATISTICS[name][1]
        return True

    def _measured(self, document: Document) -> dict[str, float]:
        """Statistic -> value, of those with bounds that are for this file."""
        text, wanted = document.text, self.limits
        lines = text.splitlines()
        if not lines:
            return {}
        found: dict[str, float] = {}
        if document.metadata.get("programming_language") not in self.long_lines:
            found["longest"] = max(map(len, lines))
            found["mean"] = sum(map(len, lines)) / len(lines)
        found["lines"] = len(lines)
        if "alphanumeric" in wanted:
            found["alphanumeric"] = sum(map(str.isalnum, text)) / len(text)
        if "alphabetic" in wanted:
            found["alphabetic"] = sum(map(str.isalpha, text)) / len(text)
        if "encoded_run" in wanted or "encoded" in wanted:
            pieces = sorted(piece.span() for pattern in ENCODED for piece in pattern.finditer(text))
            found["encoded_run"] = max((end - begin for begin, end in pieces), default=0)
            found["encoded"] = _covered(pieces) / len(text)
        return {name: value for name, value in found.items() if name in wanted}


def _covered(spans: list[tuple[int, int]]) -> int:
    """How many places the spans, in order, cover together."""
    covered = last = 0
    for begin, end in spans:
        covered += max(end - max(begin, last), 0)
        last = max(end, last)
    return covered
