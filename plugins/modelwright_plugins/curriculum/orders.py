"""At random, or from easy to hard by a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.curriculum import Curriculum

LENGTH = "length"


@dataclass(frozen=True, kw_only=True)
class Shuffled(Curriculum):
    """No order: training goes through all of a domain's text at random, another way each epoch."""

    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Sorted(Curriculum):
    """From easy to hard by a number that each document has (Bengio et al. 2009), the same way each epoch.

    By length, texts get longer, not sequences, as they do in Li et al. 2022 (arXiv:2108.06084). The order is that within a domain, and
    domains are mixed as the mixture says; `mix.domain=null` puts all text in one order.
    """

    by: str = LENGTH  # "length": a document's tokens; else a number in documents' metadata, as filter=perplexity leaves one
    descending: bool = False  # from the highest to the lowest
    window: int = 1  # sequences in a row that are read in a random order: 1 reads them as they are

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window is {self.window}; it is 1 or more")
        if not self.by:
            raise ValueError("by is empty; it is length, or a key of documents' metadata, such as perplexity")

    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        if self.by == LENGTH:
            return -tokens if self.descending else tokens
        about = document["metadata"]
        value = about.get(self.by)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            numbers = [LENGTH, *(key for key, other in about.items() if isinstance(other, int | float) and not isinstance(other, bool))]
            found = f"is {value!r:.40}, not a number" if self.by in about else "is not in its metadata"
            told = f"document {document['id']!r}: curriculum.by={self.by} {found}"
            raise ModelwrightError(f"{told}{nearest(self.by, [n for n in numbers if n != self.by])}", "curriculum.by")
        return -value if self.descending else value

    def within(self) -> int | None:
        return self.window
