"""datatrove's regular expression filter, of several expressions, and one that edits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datatrove.pipeline.filters import RegexFilter
from datatrove.pipeline.filters.base_filter import BaseFilter

if TYPE_CHECKING:
    from datatrove.data import Document


class Find(BaseFilter):
    """datatrove's RegexFilter for each expression."""

    name = "regex"

    def __init__(self, patterns: tuple[str, ...], *, keep: bool) -> None:
        super().__init__()
        self.steps, self.keep = [RegexFilter(pattern) for pattern in patterns], keep

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        for number, step in enumerate(self.steps, 1):
            if not step.filter(doc):  # it is found
                return True if self.keep else (False, "pattern_found" if len(self.steps) == 1 else f"pattern_{number}_found")
        return (False, "no_pattern_found") if self.keep else True


class Edit(BaseFilter):
    """Replaces what each expression finds; a text of which nothing is left goes."""

    name = "regex"

    def __init__(self, patterns: tuple[str, ...], replacement: str) -> None:
        super().__init__()
        self.patterns, self.replacement = [re.compile(pattern) for pattern in patterns], replacement

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        text = doc.text
        for pattern in self.patterns:
            text = pattern.sub(self.replacement, text)
        if not text.strip() and doc.text.strip():
            return False, "nothing_left"
        doc.text = text
        return True
