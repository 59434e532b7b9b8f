"""Words as numbers, with what filters ask of each, and the words of every chunk between blanks that was seen lately."""

from __future__ import annotations

import itertools
import operator
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from datatrove.pipeline.filters.gopher_quality_filter import STOP_WORDS
from datatrove.utils.text import PUNCTUATION_SET
from numpy.typing import NDArray

from modelwright_plugins.filter._words import WORDS, Cut

MOST = 2**17  # chunks, or words, that are kept, and as many again of those before
CHARACTERS = 4_000_000  # of them: a chunk may be a whole file


LETTER = re.compile("[A-Za-z]")


class Vocabulary:
    """Word -> its number. The first ones are the stop words."""

    def __init__(self) -> None:
        self.numbers_of: defaultdict[str, int] = defaultdict(itertools.count().__next__)
        self.words: list[str] = []
        self.characters = 0
        # of each word: its characters, the same but 0 where all are punctuation, and whether one is a letter
        self._length, self._word_length, self._letters = array("q"), array("q"), array("b")
        self.numbers(STOP_WORDS)

    def numbers(self, words: list[str]) -> NDArray[np.int64]:
        found = _numbers(self.numbers_of, words)
        self.learn()
        return found

    def learn(self) -> None:
        """What is asked of words, of those that got a number since."""
        count = len(self.numbers_of) - len(self.words)
        if not count:
            return
        words = list(itertools.islice(reversed(self.numbers_of), count))[::-1]
        lengths = list(map(len, words))
        letters = list(map(str.isalpha, words))
        self.words += words
        self.characters += sum(lengths)
        self._length.extend(lengths)
        for place in itertools.compress(range(count), map(operator.not_, letters)):
            word = words[place]
            if not (word.isascii() and word.isalnum()) and PUNCTUATION_SET.issuperset(word):
                lengths[place] = 0
            letters[place] = LETTER.search(word) is not None or (not word.isascii() and any(map(str.isalpha, word)))
        self._word_length.extend(lengths)
        self._letters.extend(letters)

    def length(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return _of(self._length, np.int64, numbers)

    def word_length(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return _of(self._word_length, np.int64, numbers)

    def letters(self, numbers: NDArray[np.int64]) -> NDArray[np.int8]:
        return _of(self._letters, np.int8, numbers)

    def full(self) -> bool:
        return len(self.words) > MOST or self.characters > CHARACTERS


class SpacyChunks:
    """Chunk -> its words, spaCy's, as numbers. A full table is followed by the next, which takes from it what comes again."""

    def __init__(self, previous: SpacyChunks | None = None) -> None:
        self.previous = previous
        if previous is not None:
            previous.previous = None
        self.vocabulary = Vocabulary()
        self.numbers_of: defaultdict[str, int] = defaultdict(itertools.count().__next__)
        self.characters = 0
        self._words = array("q")  # of all chunks, one after the other
        self._starts, self._counts = array("q"), array("q")  # of each chunk: where its words begin, how many they are
        self._joined, self._first, self._last = array("b"), array("h"), array("h")  # how a chunk could join its neighbours (see `Cut`)
        self._pairs: NDArray[np.bool_] | None = None

    def numbers(self, chunks: list[str]) -> NDArray[np.int64]:
        found = _numbers(self.numbers_of, chunks)
        if count := len(self.numbers_of) - len(self._starts):
            new = list(itertools.islice(reversed(self.numbers_of), count))[::-1]
            self.characters += sum(map(len, new))
            self._learn(new)
        return found

    def _expand(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The words of chunks, one after the other."""
        if not len(numbers):
            return numbers
        counts = _of(self._counts, np.int64, numbers)
        ends = np.cumsum(counts)
        places = np.repeat(_of(self._starts, np.int64, numbers) - ends + counts, counts)
        places += np.arange(len(places))
        return _of(self._words, np.int64, places)

    def words_of(self, chunk: str) -> list[str]:
        """A chunk's words by itself."""
        number = int(self.numbers([chunk])[0])
        start = self._starts[number]
        return [self.vocabulary.words[word] for word in self._words[start : start + self._counts[number]]]

    def full(self) -> bool:
        return len(self.numbers_of) > MOST or self.characters > CHARACTERS or self.vocabulary.full()

    def _learn(self, chunks: list[str]) -> None:
        number_of = self.vocabulary.numbers_of.__getitem__
        for chunk in chunks:
            words, joined, first, last = (self.previous and self.previous.recall(chunk)) or WORDS.cut(chunk)
            self._starts.append(len(self._words))
            self._counts.append(len(words))
            self._words.extend(map(number_of, words))
            self._joined.append(joined)
            self._first.append(first)
            self._last.append(last)
        self.vocabulary.learn()

    def recall(self, chunk: str) -> Cut | None:
        number = self.numbers_of.get(chunk)
        if number is None:
            return None
        return Cut(self.words_of(chunk), bool(self._joined[number]), self._first[number], self._last[number])

    def tokens(self, text: str, chunks: list[str]) -> NDArray[np.int64]:
        """The number of each word of a text, whose chunks these are."""
        numbers = self.numbers(chunks)
        if not self._doubtful(numbers):
            return self._expand(numbers)
        parts = []
        for line in text.split("\n"):
            numbers = self.numbers(line.split())
            parts.append(self.vocabulary.numbers(WORDS.word_tokenize(line)) if self._doubtful(numbers) else self._expand(numbers))
        return np.concatenate(parts)

    def doubtful(self, text: str) -> bool:
        """Whether a special case was put together next to a chunk that could go on with it: its chunks' words are not a text's words."""
        return self._doubtful(self.numbers(text.split()))

    def _doubtful(self, numbers: NDArray[np.int64]) -> bool:
        if not len(numbers):
            return False
        joined = _of(self._joined, np.bool_, numbers)
        if not joined.any():
            return False
        if self._pairs is None:
            self._pairs = _matrix(WORDS.cut.pairs)
        meet = self._pairs[_of(self._last, np.int16, numbers[:-1]), _of(self._first, np.int16, numbers[1:])]
        return bool((meet & (joined[:-1] | joined[1:])).any())


def _numbers(table: Mapping[str, int], keys: list[str]) -> NDArray[np.int64]:
    return np.fromiter(map(table.__getitem__, keys), np.int64, len(keys))


def _of(values: array[int], dtype: Any, places: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = np.frombuffer(values, dtype)[places]  # a copy: the array may grow again
    return found


def _matrix(pairs: list[tuple[int, int]]) -> NDArray[np.bool_]:
    found = np.zeros([1 + max(itertools.chain.from_iterable(pairs))] * 2, bool)
    for one, other in pairs:
        found[one, other] = True
    return found
