"""Texts with short words before texts with long ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwright_plugins.curriculum import Curriculum


@dataclass(frozen=True, kw_only=True)
class WordLength(Curriculum):
    """From texts of short words to texts of long ones, as readability formulas have it (Flesch 1948)."""

    window: int = 64  # sequences in a row that are read in a random order

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window is {self.window}; it is 1 or more")

    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        words = document["text"].split()
        return sum(map(len, words)) / max(1, len(words))

    def within(self) -> int | None:
        return self.window
