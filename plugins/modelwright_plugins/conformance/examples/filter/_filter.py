"""What subclasses datatrove: imported by the method that builds it, so that listing and planning stay quick."""

from __future__ import annotations

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter


class DistinctWordsFilter(BaseFilter):
    name = "distinct words"

    def __init__(self, min_words: int, min_share: float) -> None:
        super().__init__()
        self.min_words, self.min_share = min_words, min_share

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        words = doc.text.lower().split()
        different = len(set(words))
        if different < self.min_words:
            return False, "few_words"
        if different < self.min_share * len(words):
            return False, "repeated_words"
        return True
