"""The rules that FineWeb adds (Penedo et al. 2024, arXiv:2406.17557, section 3.6), as datatrove has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class FineWebQuality(Filter):
    """FineWeb's own rules: line ends, short lines, repeated lines, lists.

    Defaults: FineWeb, section 3.6 (0.12, 0.67, 0.01), and datatrove's released pipeline for `max_newline_ratio`.
    """

    min_punctuated_lines: float = 0.12  # share of lines that end in terminal punctuation
    max_short_lines: float = 0.67  # share of lines that are short
    short_line: int = 30  # characters: a line of at most this many is short
    max_duplicate_line_characters: float = 0.01  # share of characters in repeated lines
    max_newline_ratio: float = 0.3  # line ends for each word
    mode: Literal["exact", "fast"] = "exact"  # exact: datatrove's words and decisions; fast: simpler words, nearly the same decisions

    def __post_init__(self) -> None:
        self._shares("min_punctuated_lines", "max_short_lines", "max_duplicate_line_characters")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._fineweb import FineWeb

        return FineWeb(self)
