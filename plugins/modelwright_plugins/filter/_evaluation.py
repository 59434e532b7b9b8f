"""Evaluation sets as n-grams of words, looked up many at a time."""

from __future__ import annotations

import gzip
import json
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright_plugins.filter._keywords import ALONE, unspaced
from modelwright_plugins.filter._runs import runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ASCII = string.punctuation.encode()


def words(text: str) -> list[str]:
    """Lower case, between blanks, without punctuation (Brown et al. 2020, appendix C); characters of scripts without spaces one by one."""
    plain = text.lower().encode("utf-8", "surrogatepass").translate(None, ASCII).decode("utf-8", "surrogatepass")
    if not plain.isascii():
        others = [c for c in set(plain) if ord(c) > 127]
        for c in others:  # few, and each is replaced faster than an expression looks for all
            if unicodedata.category(c)[0] == "P":
                plain = plain.replace(c, "")
        if any(map(unspaced, others)):
            plain = ALONE.sub(r" \1 ", plain)
    return plain.split()


def examples(file: Path, keys: tuple[str, ...]) -> Iterator[list[str]]:
    """The texts of each example. ValueError: a line is not JSON, or the file not UTF-8."""
    return (texts for _, texts in numbered(file, keys))


def numbered(file: Path, keys: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """The same, each with its line in the file, from 1; in a text file with its paragraph."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        try:
            if ".jsonl" not in file.name:
                passages = (passage for passage in re.split(r"\n[ \t]*\n", lines.read()) if passage.strip())
                yield from ((number, [passage]) for number, passage in enumerate(passages, 1))
                return
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        record = json.loads(line)
                    except json.JSONDecodeError as error:
                        raise ValueError(f"{file} line {number} is not JSON: {error}") from error
                    yield number, list(_strings([record.get(key) for key in keys] if keys and isinstance(record, dict) else record))
        except UnicodeDecodeError as error:
            raise ValueError(f"{file} is not UTF-8: {error}") from error
        except gzip.BadGzipFile as error:
            raise ValueError(f"{file}: {error}") from error


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


class Evaluation:
    """All n-grams of all examples; strings that are shorter than n, and not than `least`, as n-grams of their own length.

    Words are numbered, n-grams hashed (a polynomial modulo 2**64) and sorted; what meets by hash is compared word by word.
    """

    def __init__(self, sets: Mapping[str, Iterable[list[str]]], n: int, least: int) -> None:
        self.sets = list(sets)
        vocabulary: dict[str, int] = {}
        self.vocabulary = vocabulary
        text: list[int] = []  # of all strings, one after another
        example_of: list[int] = []  # of each word
        self.set_of: list[int] = []  # of each example
        self.sizes: list[int] = []  # words of each example, of strings that are looked for
        begins: dict[int, list[int]] = {}  # length -> where such an n-gram begins
        for number, every in enumerate(sets.values()):
            for texts in every:
                size = 0
                for one in texts:
                    found = [vocabulary.setdefault(word, len(vocabulary)) for word in words(one)]
                    length = min(n, len(found))
                    if length < min(n, least):
                        continue
                    begins.setdefault(length, []).extend(range(len(text), len(text) + len(found) - length + 1))
                    text += found
                    example_of += [len(self.sizes)] * len(found)
                    size += len(found)
                if size:
                    self.set_of.append(number)
                    self.sizes.append(size)
        if not begins:
            raise ValueError(f"no string of {', '.join(self.sets)} has {least} words: there is nothing to look for")
        self.text, self.example_of = np.array(text, np.int64), np.array(example_of, np.int64)
        self.orders = {length: self._sorted(length, np.array(places, np.int64)) for length, places in sorted(begins.items())}

    def _sorted(self, length: int, places: Ints) -> tuple[Any, Ints, Any, int]:
        ((_, every),) = runs(self.text, [length])
        hashes = every[places]
        order = np.argsort(hashes, kind="stable")
        bits = max(12, int(len(places) * 16).bit_length())
        there = np.zeros(1 << bits, bool)  # whether any hash begins with these bits: one look answers for nearly all n-grams of a text
        there[hashes >> np.uint64(64 - bits)] = True
        return hashes[order], places[order], there, 64 - bits

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Each overlap: the word of the text at which it begins, its length in words, and where it begins in `self.text`."""
        found = words(text)
        if len(found) < min(self.orders):
            return []
        ids = np.fromiter(map(self.vocabulary.get, found, repeat(-1)), np.int64, len(found))
        unknown = np.concatenate([[0], np.cumsum(ids < 0)])
        overlaps = []
        for n, every in runs(ids, [*self.orders]):
            hashes, places, there, shift = self.orders[n]
            at = np.flatnonzero(unknown[n:] == unknown[:-n])  # where n known words begin
            hashed = every[at]
            maybe = there[hashed >> np.uint64(shift)]
            at, hashed = at[maybe], hashed[maybe]
            low, high = np.searchsorted(hashes, hashed, "left"), np.searchsorted(hashes, hashed, "right")
            for begin, first, last in zip(at[high > low], low[high > low], high[high > low], strict=True):
                same = [int(p) for p in places[first:last] if np.array_equal(self.text[p : p + n], ids[begin : begin + n])]
                overlaps += [(int(begin), n, place) for place in same]
        return overlaps
