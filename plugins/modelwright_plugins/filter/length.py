"""How long a text is, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

UNITS = ("bytes", "characters", "words", "lines")


@dataclass(frozen=True, kw_only=True)
class Length(Filter):
    """Keeps texts of a length between limits: in bytes, characters, words, lines.

    A limit itself is allowed. Default: Gopher's numbers of words (Rae et al. 2021, arXiv:2112.11446, appendix A1.1).
    """

    min_bytes: int | None = None  # of UTF-8; null: any
    max_bytes: int | None = None  # null: any
    min_characters: int | None = None  # null: any
    max_characters: int | None = None  # null: any
    min_words: int | None = 50  # between blanks; null: any
    max_words: int | None = 100_000  # null: any
    min_lines: int | None = None  # that are not blank; null: any
    max_lines: int | None = None  # null: any

    def __post_init__(self) -> None:
        for unit in UNITS:
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            for name, value in ((f"min_{unit}", least), (f"max_{unit}", most)):
                if value is not None and value < 0:
                    raise ValueError(f"{name} is {value}; it is at least 0, or null")
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{unit} is {least}; it is at most max_{unit}={most}")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._length import Lengths

        return Lengths({unit: (getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")) for unit in UNITS})


@dataclass(frozen=True, kw_only=True)
class SymbolRatio(Filter):
    """Drops texts with too many symbols for their words, or too few letters among their characters.

    Default: Gopher's rule for `#` and ellipses (Rae et al. 2021, arXiv:2112.11446, appendix A1.1). A limit itself is allowed.
    """

    symbols: tuple[str, ...] = ("#", "...", "…")  # counted one by one; `...` and `…` count together
    max_per_word: float | None = 0.1  # of each symbol, for each word between blanks; null: any
    max_special: float | None = None  # share of characters that are no letters: digits, signs, blanks, emoji; null: any
    max_digits: float | None = None  # share of characters; null: any
    max_capitals: float | None = None  # share of letters; null: any

    def __post_init__(self) -> None:
        if "" in self.symbols:
            raise ValueError("symbols is a list of texts, and one of them is empty")
        for name in ("max_per_word", "max_special", "max_digits", "max_capitals"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}; it is at least 0, or null")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._length import Symbols

        return Symbols(self.symbols, self.max_per_word, self.max_special, self.max_digits, self.max_capitals)
