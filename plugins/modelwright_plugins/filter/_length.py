"""datatrove filters that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex
from datatrove.pipeline.filters.base_filter import BaseFilter

if TYPE_CHECKING:
    from datatrove.data import Document

COUNT = {
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
    "characters": len,
    "words": lambda text: len(text.split()),
    "lines": lambda text: sum(not line.isspace() for line in text.split("\n") if line),
}
LETTERS = regex.compile(r"[\p{L}\p{M}]+")  # with what is written around a letter, as in Hindi
DIGITS = regex.compile(r"\d+")


class Lengths(BaseFilter):
    """Unit -> least and most."""

    name = "length"

    def __init__(self, limits: dict[str, tuple[int | None, int | None]]) -> None:
        super().__init__()
        self.limits = {unit: limit for unit, limit in limits.items() if limit != (None, None)}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        for unit, (least, most) in self.limits.items():
            found = COUNT[unit](doc.text)
            if least is not None and found < least:
                return False, f"too_few_{unit}"
            if most is not None and found > most:
                return False, f"too_many_{unit}"
        return True


class Symbols(BaseFilter):
    """Symbols for each word, and shares of kinds of characters."""

    name = "symbol ratio"

    def __init__(
        self, symbols: tuple[str, ...], per_word: float | None, special: float | None, digits: float | None, capitals: float | None
    ) -> None:
        super().__init__()
        ellipses = tuple(s for s in symbols if s in ("...", "…"))
        self.symbols = [(s,) for s in symbols if s not in ellipses] + ([ellipses] if ellipses else [])
        self.per_word, self.special, self.digits, self.capitals = per_word, special, digits, capitals

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        text = doc.text
        if not text:
            return True
        if self.per_word is not None:
            counts = [sum(map(text.count, together)) for together in self.symbols]
            if any(counts) and max(counts) > self.per_word * len(text.split()):
                return False, "too_many_symbols"
        if self.special is not None or self.capitals is not None:
            letters = LETTERS.findall(text)
            count = sum(map(len, letters))
            if self.special is not None and len(text) - count > self.special * len(text):
                return False, "too_many_special_characters"
            if self.capitals is not None and sum(c.isupper() for word in letters for c in word) > self.capitals * count:
                return False, "too_many_capitals"
        if self.digits is not None and sum(map(len, DIGITS.findall(text))) > self.digits * len(text):
            return False, "too_many_digits"
        return True
