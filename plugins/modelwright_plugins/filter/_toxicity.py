"""datatrove filters that count listed words, and that ask a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright_plugins.filter._keywords import Keywords, unspaced
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.filter._classifier import Model


class Toxic(Measured):
    """Records the number of words that it found in what it keeps."""

    name = "toxic words"

    def __init__(self, words: list[str], most: int, share: float) -> None:
        super().__init__()
        self.keywords = Keywords([w for w in words if not unspaced(w)], [w for w in words if unspaced(w)])
        self.most, self.share = most, share

    @property
    def statistic(self) -> str:
        return f"share of listed words, where more than {self.most}"

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(most=self.share)}

    def measure(self, document: Document) -> Mapping[str, float]:
        found = self._count(document.text)
        return {self.statistic: _share(found, document.text)} if found > self.most else {}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        doc.metadata["toxic_words"] = found = self._count(doc.text)
        if found > self.most and _share(found, doc.text) > self.share:
            return False, "toxic_words"
        return True

    def _count(self, text: str) -> int:
        return len(self.keywords.apart(text.lower()))


def _share(found: int, text: str) -> float:
    """Of the words between blanks; above 1 where several are written together."""
    return found / max(1, len(text.split()))


class Toxicity(Measured):
    """Records the probability in `metadata["toxicity"]`; a text without words has none, and stays."""

    name = "toxicity classifier"
    statistic = "probability of being toxic"

    def __init__(self, model: Model, threshold: float) -> None:
        super().__init__()
        self.model, self.threshold = model, threshold

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(most=self.threshold)}

    def measure(self, document: Document) -> Mapping[str, float]:
        found = self.model.probability(document.text)
        return {} if found is None else {self.statistic: found}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = self.model.probability(doc.text)
        if found is None:
            return True
        doc.metadata["toxicity"] = found
        return (False, "toxic") if found > self.threshold else True
