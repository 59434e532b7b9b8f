"""Many words found in one pass over a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import ahocorasick

# Thai, Lao, Myanmar, Khmer, Hiragana to CJK compatibility forms, ideographs of the other planes: written without spaces
UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
ALONE = re.compile("([" + "".join(f"{chr(low)}-{chr(high)}" for low, high in UNSPACED) + "])")  # each character of theirs


def unspaced(word: str) -> bool:
    """Whether it has a character of a script that doesn't put spaces between words."""
    return any(low <= ord(c) <= high for c in word for low, high in UNSPACED)


class Keywords:
    """Words and phrases, found whatever their case: between characters that are not of a word (`\\W`), or anywhere in a text.

    One pass of an Aho-Corasick automaton (Aho & Corasick 1975), whatever the number of words.
    """

    def __init__(self, whole: Iterable[str], anywhere: Iterable[str] = ()) -> None:
        self.words = {word.lower(): True for word in whole if word} | {word.lower(): False for word in anywhere if word}

    def __reduce__(self) -> tuple[Any, ...]:
        return Keywords, ([w for w, whole in self.words.items() if whole], [w for w, whole in self.words.items() if not whole])

    @cached_property
    def _automaton(self) -> Any:
        made = ahocorasick.Automaton()
        for word, whole in self.words.items():
            made.add_word(word, (len(word) - 1, whole))
        made.make_automaton()
        return made

    def spans(self, lower: str) -> list[tuple[int, int]]:
        """Start and end of each occurrence in a text in lower case, overlapping ones too, by their ends."""
        if not self.words:
            return []
        return [
            (end - before, end + 1) for end, (before, whole) in self._automaton.iter(lower) if not whole or _alone(lower, end - before, end)
        ]

    def any(self, lower: str) -> bool:
        """Whether one is in a text in lower case."""
        if not self.words:
            return False
        return any(not whole or _alone(lower, end - before, end) for end, (before, whole) in self._automaton.iter(lower))

    def apart(self, lower: str) -> list[tuple[int, int]]:
        """Occurrences that do not overlap: the first, of those that begin together the longest, and so on."""
        chosen: list[tuple[int, int]] = []
        for start, end in sorted(self.spans(lower), key=lambda span: (span[0], -span[1])):
            if not chosen or start >= chosen[-1][1]:
                chosen.append((start, end))
        return chosen


def _alone(text: str, first: int, last: int) -> bool:
    before, after = text[first - 1 : first], text[last + 1 : last + 2]
    return not (before.isalnum() or before == "_" or after.isalnum() or after == "_")
