"""Filters for mathematical text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class MathText(Filter):
    """Keeps mathematical text: by formulas, LaTeX, MathML, symbols, calculations and words such as 'theorem'.

    As in OpenWebMath (Paster et al. 2023, arXiv:2310.06786, section 3), text with LaTeX or mathematical markup needs little to
    stay, and text without needs much more. There a trained classifier gives the score; here it is the share of the
    characters, without blanks, that stand in formulas, commands, symbols, calculations and mathematical words.
    """

    min_share_with_latex: float = 0.01  # share of the characters, for text with a formula, a LaTeX command or mathematical markup
    min_share_without: float = 0.03  # the same for other text, which has symbols, calculations and words only
    min_finds: int = 2  # formulas, commands, symbols, calculations and, in threes, words: one alone is chance

    def __post_init__(self) -> None:
        for name in ("min_share_with_latex", "min_share_without"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, from 0 to 1")
        if self.min_finds < 1:
            raise ValueError(f"min_finds is {self.min_finds}; it is 1 or more")

    def build(self) -> BaseFilter:
        from modelwright_math_text._filters import MathTextFilter

        return MathTextFilter(self.min_share_with_latex, self.min_share_without, self.min_finds)


@dataclass(frozen=True, kw_only=True)
class WholeLatex(Filter):
    """Drops text whose LaTeX was damaged on the way: environments, displays or braces that are not closed.

    Extraction from HTML cuts formulas apart; OpenWebMath (section 3.2) takes much care to avoid it. Text without LaTeX stays.
    """

    max_damaged: float = 0.1  # share of the environments, displays and formulas that may be damaged; 0: none

    def __post_init__(self) -> None:
        if not 0 <= self.max_damaged <= 1:
            raise ValueError(f"max_damaged is {self.max_damaged}; it is a share, from 0 to 1")

    def build(self) -> BaseFilter:
        from modelwright_math_text._filters import WholeLatexFilter

        return WholeLatexFilter(self.max_damaged)
