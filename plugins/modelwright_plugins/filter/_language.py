"""A datatrove filter over CLD2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pycld2
from datatrove.pipeline.filters.base_filter import BaseFilter

from modelwright.errors import ModelwrightError, nearest

if TYPE_CHECKING:
    from datatrove.data import Document

# CLD2 refuses a text with one of these: control characters other than tab and line ends, surrogates, non-characters
REFUSED = re.compile(
    "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


class CLD2(BaseFilter):
    """Sums the shares that CLD2 gives to the wanted languages; records the language and the share it found."""

    name = "CLD2"

    def __init__(self, languages: tuple[str, ...], min_share: float, keep_unknown: bool) -> None:
        super().__init__()
        self.languages, self.min_share, self.keep_unknown = frozenset(languages), min_share, keep_unknown
        known = {code for _, code in pycld2.LANGUAGES}
        for code in languages:
            if code not in known:
                raise ModelwrightError(f"filter.language.languages: CLD2 knows no language {code!r}{nearest(code, known)}")

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        _, _, found = pycld2.detect(REFUSED.sub(" ", doc.text), isPlainText=True, bestEffort=True)
        first = found[0][1]
        share = sum(percent for _, code, percent, _ in found if code in self.languages) / 100
        doc.metadata["language"] = first
        if share >= self.min_share or (first == "un" and self.keep_unknown):
            return True
        return False, "language_below_share" if first in self.languages else f"language_{first}"
