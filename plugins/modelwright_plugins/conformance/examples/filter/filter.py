"""Documents with enough different words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class DistinctWords(Filter):
    """Drops documents that have too few different words, or say the same ones again and again."""

    min_words: int = 10  # different words, in lower case, between blanks
    min_share: float = 0.1  # different words, as a share of all words

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"min_share is {self.min_share}; it is a share, from 0 to 1")

    def build(self) -> BaseFilter:
        from modelwright_plugins.conformance.examples.filter._filter import DistinctWordsFilter

        return DistinctWordsFilter(self.min_words, self.min_share)
