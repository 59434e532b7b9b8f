"""The rules of Gopher (Rae et al. 2021, arXiv:2112.11446, appendix A1.1), as datatrove has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class GopherQuality(Filter):
    """Gopher's quality rules: length, word length, symbols, bullets, letters, stop words.

    Words are spaCy's English tokens. A rule whose threshold is 0 is off. All defaults: Gopher, appendix A1.1, "Quality filtering".
    """

    min_words: int = 50  # words that are not all punctuation
    max_words: int = 100_000  # the same
    min_mean_word_length: float = 3.0  # characters, of words that are not all punctuation
    max_mean_word_length: float = 10.0  # characters
    max_symbol_ratio: float = 0.1  # '#' for each word, and ellipses for each word
    max_bullet_lines: float = 0.9  # share of lines that begin with a bullet
    max_ellipsis_lines: float = 0.3  # share of lines that end with an ellipsis
    min_alphabetic_words: float = 0.8  # share of words with a letter
    min_stop_words: int = 2  # different words of: the be to of and that have with
    mode: Literal["exact", "fast"] = "exact"  # exact: datatrove's words and decisions; fast: simpler words, nearly the same decisions

    def __post_init__(self) -> None:
        self._shares("max_bullet_lines", "max_ellipsis_lines", "min_alphabetic_words")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._gopher import Quality

        return Quality(self)


@dataclass(frozen=True, kw_only=True)
class GopherRepetition(Filter):
    """Gopher's repetition rules: repeated lines, paragraphs and n-grams.

    Fractions of lines, of paragraphs, or of the text's characters. All defaults: Gopher, table A1. A line or paragraph rule whose
    threshold is 0 is off, and so is an n-gram that is left out.
    """

    max_duplicate_lines: float = 0.3  # share of lines
    max_duplicate_paragraphs: float = 0.3  # share of paragraphs
    max_duplicate_line_characters: float = 0.2  # share of characters
    max_duplicate_paragraph_characters: float = 0.2  # share of characters
    top_ngrams: tuple[float, ...] = (0.2, 0.18, 0.16)  # share of characters in the most frequent 2-, 3-, 4-gram; shorter: fewer rules
    duplicate_ngrams: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.1)  # share in repeated 5-, 6-, ... 10-grams
    mode: Literal["exact", "fast"] = "exact"  # exact: datatrove's words and decisions; fast: simpler words, nearly the same decisions

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._gopher import Repetition

        return Repetition(self)
