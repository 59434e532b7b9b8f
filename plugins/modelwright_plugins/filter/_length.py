"""datatrove filters that count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import regex

from modelwright_plugins.filter.measured import Bounds, Measured

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


class Lengths(Measured):
    """Unit -> least and most."""

    name = "length"

    def __init__(self, limits: dict[str, tuple[int | None, int | None]]) -> None:
        super().__init__()
        self.limits = {unit: limit for unit, limit in limits.items() if limit != (None, None)}

    def bounds(self) -> Mapping[str, Bounds]:
        return {unit: Bounds(least, most) for unit, (least, most) in self.limits.items()}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {unit: COUNT[unit](document.text) for unit in self.limits}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        for unit, (least, most) in self.limits.items():
            found = COUNT[unit](doc.text)
            if least is not None and found < least:
                return False, f"too_few_{unit}"
            if most is not None and found > most:
                return False, f"too_many_{unit}"
        return True


class Symbols(Measured):
    """Symbols for each word, and shares of kinds of characters."""

    name = "symbol ratio"

    def __init__(
        self, symbols: tuple[str, ...], per_word: float | None, special: float | None, digits: float | None, capitals: float | None
    ) -> None:
        super().__init__()
        ellipses = tuple(s for s in symbols if s in ("...", "…"))
        self.symbols = [(s,) for s in symbols if s not in ellipses] + ([ellipses] if ellipses else [])
        limits = {"symbols for each word": per_word, "special characters": special, "capitals": capitals, "digits": digits}
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}

    def bounds(self) -> Mapping[str, Bounds]:
        return {NAMES[name]: Bounds(most=limit) for name, limit in self.limits.items()}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {NAMES[name]: value for name, value in self._values(document.text)}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        for name, value in self._values(doc.text):
            if value > self.limits[name]:
                return False, f"too_many_{name.partition(' for ')[0].replace(' ', '_')}"
        return True

    def _values(self, text: str) -> Iterator[tuple[str, float]]:
        """Those that have a limit, one at a time, of a text that isn't empty."""
        if not text:
            return
        if "symbols for each word" in self.limits:
            counts = [sum(map(text.count, together)) for together in self.symbols]
            yield "symbols for each word", max(counts, default=0) / max(1, len(text.split()))
        if "special characters" in self.limits or "capitals" in self.limits:
            letters = LETTERS.findall(text)
            count = sum(map(len, letters))
            if "special characters" in self.limits:
                yield "special characters", (len(text) - count) / len(text)
            if "capitals" in self.limits and count:
                yield "capitals", sum(c.isupper() for word in letters for c in word) / count
        if "digits" in self.limits:
            yield "digits", sum(map(len, DIGITS.findall(text))) / len(text)


NAMES = {
    "symbols for each word": "most frequent symbol, for each word",
    "special characters": "share of characters that are no letters",
    "capitals": "share of letters that are capitals",
    "digits": "share of characters that are digits",
}
