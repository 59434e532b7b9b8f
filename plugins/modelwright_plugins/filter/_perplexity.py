"""A datatrove filter over an n-gram model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING

from modelwright_plugins.filter._arpa import Backoff
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

DIGIT = re.compile(r"\d")
APART = re.compile(r"([^\w\s]|_)")


def sentences(text: str, normalise: bool) -> list[list[str]]:
    """The words of each line that has any."""
    if normalise:
        text = APART.sub(r" \1 ", DIGIT.sub("0", text.lower()))
    return [words for line in text.split("\n") if (words := line.split())]


def perplexity(model: Backoff, lines: list[list[str]]) -> float | None:
    """10 ** (- mean log10 probability of words and ends of lines), as KenLM's; None of no words."""
    if not lines:
        return None
    return float(10 ** (-model.log10(lines) / sum(len(words) + 1 for words in lines)))


class PerplexityBounds(Measured):
    """Records the perplexity, which a report can show with the bounds."""

    name = "perplexity"

    def __init__(self, model: Backoff, normalise: bool, low: float, high: float) -> None:
        super().__init__()
        self.model, self.normalise, self.low, self.high = model, normalise, low, high

    def bounds(self) -> Mapping[str, Bounds]:
        return {"perplexity": Bounds(self.low if self.low > 0 else None, self.high if self.high < inf else None)}

    def measure(self, document: Document) -> Mapping[str, float]:
        found = perplexity(self.model, sentences(document.text, self.normalise))
        return {} if found is None else {"perplexity": found}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = perplexity(self.model, sentences(doc.text, self.normalise))
        if found is None:
            return False, "no_words"
        doc.metadata["perplexity"] = found
        if found < self.low:
            return False, "perplexity_too_low"
        if found > self.high:
            return False, "perplexity_too_high"
        return True
