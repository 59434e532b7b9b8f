"""Words and sentences nearly as spaCy has them, for filters that may decide a little otherwise (`mode=fast`): words by arrays of what
kind each character and its neighbours are, sentences by a regular expression.

As spaCy: "don't" is two words, "x.y", "f(x", "12:30", "-v", "--" and an address are one, "well-known", "a=b" and "a.B" three, and every
other sign is one of its own. Vowel signs belong to their word.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from datatrove.utils.text import PUNCTUATION_SET
from numpy.typing import NDArray

# A character's kind. Higher ones tell more of a word: its highest says whether it has a letter, and whether it is all punctuation.
BLANK, COMMA, COLON, DASH, DOT, QUOTE, JOINER, CLOSE, TIE, UNDERSCORE, SYMBOL, DIGIT, LETTER, CAPITAL = range(14)
SPLITTER = DOT  # up to it, one between letters is a word
_KIND = {".": DOT, ",": COMMA, ":": COLON, ")": CLOSE, "=": COMMA, "-": DASH, "/": DASH, "'": QUOTE, "’": QUOTE, "_": UNDERSCORE}
_KIND |= dict.fromkeys("\\@^|+", TIE) | dict.fromkeys("<>~–—", COMMA)
SIGNS = re.compile(
    r"[\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0903\u093a-\u094f\u0981-\u0983\u09bc-\u09d7"
    r"\u0a01-\u0a51\u0b82-\u0bcd\u0c00-\u0c56\u0e31-\u0e4e\u200c\u200d]"
)
ADDRESS = re.compile(r"""(?<=[^\W_])://[^\s)>\]"']+""")  # what comes after its scheme
SENTENCE = re.compile(r"""[\w)\]"'’”%][.!?]+["'’”)\]]*\s+["'“‘(\[]*[^\W_]""")
PLANE = 0x10000  # characters beyond it are of the kind of the one at its end
EDGE = 8  # bytes of a word that its number takes from each end
MASKS = np.array([2 ** (8 * size) - 1 for size in range(EDGE + 1)], np.uint64)
FIRST, LAST, SIZE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xC2B2AE3D27D4EB4F)


def _kind(character: str) -> int:
    if character.isspace():
        return BLANK
    if character in _KIND:
        return _KIND[character]
    if character.isalpha() or SIGNS.match(character):
        return CAPITAL if character.isupper() else LETTER
    if character.isalnum():
        return DIGIT
    return JOINER if character in PUNCTUATION_SET else SYMBOL


ASCII = bytes(map(_kind, map(chr, range(128)))) + bytes(128)


@cache
def _plane() -> NDArray[np.uint8]:
    return np.frombuffer(bytes(map(_kind, map(chr, range(PLANE)))) + bytes([SYMBOL]), np.uint8)


class Words:
    """A text's words: where each begins and ends (places of characters), and its number, which is its characters' hash."""

    def __init__(self, text: str) -> None:
        if text.isascii():
            raw = text.encode("ascii")
            self.kinds: NDArray[np.uint8] = np.frombuffer(raw.translate(ASCII), np.uint8)
        else:
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            self.kinds = _plane()[np.minimum(codes, PLANE)]
            raw = (codes ^ (codes >> np.uint32(8)) * np.uint32(31)).astype(np.uint8).tobytes()
        begins = _begins(self.kinds)
        if "://" in text:
            for address in ADDRESS.finditer(text):
                begins[address.start() : address.end()] = False
        blank = self.kinds == BLANK
        stops = np.empty(len(begins), bool)  # after a word's last character comes another word, or a blank
        if len(stops):
            np.logical_or(begins[1:], blank[1:], out=stops[:-1])
            stops[-1] = True
            stops &= ~blank
        self.begins, self.ends = np.flatnonzero(begins), np.flatnonzero(stops) + 1
        self.lengths = self.ends - self.begins
        self.numbers = self._numbers(raw)

    def _numbers(self, raw: bytes) -> NDArray[np.uint32]:
        padded = np.frombuffer(raw + bytes(EDGE), np.uint8)
        windows: Any = np.ndarray(len(raw) + 1, "<u8", padded, strides=(1,))  # the eight bytes from each place on
        found = windows[self.begins] & MASKS[np.minimum(self.lengths, EDGE)]
        found *= FIRST
        found ^= self.lengths.astype(np.uint64) * SIZE
        longer = np.flatnonzero(self.lengths > EDGE)
        found[longer] ^= windows[self.ends[longer] - EDGE] * LAST
        return (found >> np.uint64(32)).astype(np.uint32)

    def highest(self) -> NDArray[np.uint8]:
        """The highest kind of each word's characters; of words that begin with a letter, that letter's."""
        found = self.kinds[self.begins]
        rest = np.flatnonzero((found < LETTER) & (self.lengths > 1))
        if len(rest):
            spans = np.column_stack((self.begins[rest], self.ends[rest])).ravel()
            found[rest] = np.maximum.reduceat(np.append(self.kinds, self.kinds[:1]), spans)[::2]
        return found


def _begins(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a word begins: at every character but blanks and those that go on with the word before them."""
    size = len(kinds)
    padded = np.zeros(size + 4, np.uint8)
    padded[1 : size + 1] = kinds
    begins = padded > BLANK
    word = (padded >= DIGIT) | (padded == UNDERSCORE)
    dot, dash, quote = padded == DOT, padded == DASH, padded == QUOTE
    begins[1:] &= ~(word[1:] & word[:-1])
    sign = begins & ~word
    row = (padded == TIE) | dot | dash
    after, within, left, right = word[:-2], word[2:], padded[:-2], padded[2:]
    letter = right >= LETTER
    # a sign between two words that makes them one: f(x, a@b; x.y but not x.Y; 1,000 but not a,b; x=1, 12:30; a-1 but not 1-2; O'Brien
    split = (padded[1:-1] <= SPLITTER) & letter
    split |= dash[1:-1] & (left == DIGIT)
    split ^= dot[1:-1] & letter & ~((left == LETTER) & (right == CAPITAL))
    split |= quote[1:-1] & ~np.append(word[3:], False)
    one = after & sign[1:-1] & within & ~split
    begins[1:-1] &= ~one
    begins[2:] &= ~one
    # two that are not -- or ..: f("x, x[:1
    two = word[:-3] & sign[1:-2] & sign[2:-1] & word[3:]
    two &= ~(row[1:-2] & row[2:-1])
    begins[1:-2] &= ~two
    begins[2:-1] &= ~two
    begins[3:] &= ~two
    begins[1:] &= ~((padded[1:] == COLON) & (padded[:-1] == CLOSE))  # a face, says spaCy
    # --, ..., ./, and what follows: -v, --all, ../x
    begins[1:] &= ~(row[1:] & row[:-1])
    begins[2:] &= ~(row[1:-1] & within & ~after)
    begins[2:] &= ~(quote[1:-1] & after & within)  # it's
    begins[2:] &= ~(dot[2:] & (padded[1:-1] == CAPITAL) & (left != CAPITAL))  # U.S., J.
    return begins[1 : size + 1]


def find_words(text: str) -> list[str]:
    words = Words(text)
    return [text[begin:end] for begin, end in zip(words.begins.tolist(), words.ends.tolist(), strict=True)]


def count_sentences(line: str) -> int:
    return 1 + len(SENTENCE.findall(line))
