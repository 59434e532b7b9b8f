"""What files of source code are left out for: long lines, few letters, encoded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class CodeLines(Filter):
    """Drops files with long lines, few letters and digits, or encoded data: tables, minified and generated code.

    Defaults: BigCode's basic filter for The Stack and SantaCoder (github.com/bigcode-project/bigcode-dataset, preprocessing), which gives
    numbers to the rules of Codex (Chen et al. 2021, arXiv:2107.03374, section 3.1). A limit itself is allowed. Lines are those of
    `str.splitlines`. Statistics: longest and mean line, lines, shares of letters and digits, letters and encoded characters.
    """

    max_line: int | None = 1000  # characters of the longest line; null: any
    max_mean_line: float | None = 100.0  # characters of a line on average, empty ones too; null: any
    max_lines: int | None = None  # null: any
    min_alphanumeric: float | None = 0.25  # share of characters that are letters or digits; null: any
    min_alphabetic: float | None = None  # share of characters that are letters; null: any
    max_encoded_run: int | None = None  # characters of one piece of base64, of hexadecimal pairs or of \u escapes; null: any
    max_encoded: float | None = None  # share of characters in such pieces; null: any
    long_lines: tuple[str, ...] = ()  # programming languages whose lines are long: a line may have long_line, and any average
    long_line: int = 100_000  # characters of the longest line of those

    def __post_init__(self) -> None:
        for name in ("max_line", "max_mean_line", "max_lines", "max_encoded_run", "long_line"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1" + ("" if name == "long_line" else ", or null"))
        for name in ("min_alphanumeric", "min_alphabetic", "max_encoded"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it is a share from 0 to 1, or null")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._code import CodeStatistics

        bounds = {
            "longest": (None, self.max_line),
            "mean": (None, self.max_mean_line),
            "lines": (None, self.max_lines),
            "alphanumeric": (self.min_alphanumeric, None),
            "alphabetic": (self.min_alphabetic, None),
            "encoded_run": (None, self.max_encoded_run),
            "encoded": (None, self.max_encoded),
        }
        return CodeStatistics(bounds, self.long_lines, self.long_line)
