"""A datatrove filter that counts listed words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datatrove.pipeline.filters.base_filter import BaseFilter

from modelwright_plugins.filter._keywords import Keywords, unspaced

if TYPE_CHECKING:
    from datatrove.data import Document


class Toxic(BaseFilter):
    """Records the number of words that it found in what it keeps."""

    name = "toxic words"

    def __init__(self, words: list[str], most: int, share: float) -> None:
        super().__init__()
        self.keywords = Keywords([w for w in words if not unspaced(w)], [w for w in words if unspaced(w)])
        self.most, self.share = most, share

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = len(self.keywords.apart(doc.text.lower()))
        doc.metadata["toxic_words"] = found
        if found > self.most and found > self.share * len(doc.text.split()):
            return False, "toxic_words"
        return True
