"""spaCy's English words, as datatrove has them, cut chunk by chunk between blanks.

spaCy's tokenizer goes from one run of blanks to the next, and what it cuts a chunk into depends on the chunk alone, but for one thing: in
the end it looks for its special cases among all tokens, "a:)" being "a" and ":)". A special case has no blank, so a chunk's last token
never joins the next chunk's first one; but where the two could begin a special case (":)" before a ")"), spaCy takes that for the
longer match, drops it for its blank, and leaves both chunks' tokens apart. Such neighbours are doubtful: their line is cut by spaCy.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any, NamedTuple

from datatrove.utils.word_tokenizers import SpaCyTokenizer

RENEW = 10_000_000  # characters: spaCy keeps every word that it has seen, so the tokenizer is made anew now and then
TAIL = 12  # characters: no suffix but a row of dots is longer, with what must be before it


class Cut(NamedTuple):
    """A chunk's words. `first` and `last` are its ends before special cases were put together, 0 where none could go on beyond them."""

    words: list[str]
    joined: bool = False  # a special case was put together within it
    first: int = 0
    last: int = 0


class Cutter:
    """`Tokenizer` of spaCy 3.8 (tokenizer.pyx) with its own rules and expressions, for one chunk, without its documents and lexemes: most
    of its time goes into those of words that never come again."""

    def __init__(self, tokenizer: Any) -> None:
        from spacy.attrs import ORTH
        from spacy.tokenizer import Tokenizer

        looked = [tokenizer.prefix_search, tokenizer.suffix_search, tokenizer.infix_finditer]
        self.find_prefix, self.find_suffix, self.find_infixes = looked
        self.whole, self.url = tokenizer.token_match or (lambda chunk: None), tokenizer.url_match
        self.rules = {rule: [spec[ORTH] for spec in specs] for rule, specs in tokenizer.rules.items()}
        plain = Tokenizer(tokenizer.vocab, None, *looked, tokenizer.token_match, tokenizer.url_match)
        finders = (tokenizer.find_prefix, tokenizer.find_infix, tokenizer.find_suffix)
        sought = [rule for rule in self.rules if any(find(rule) for find in finders)]  # what spaCy looks for in the end
        self.sought = {tuple(token.text for token in plain(rule)) for rule in sought}
        self.longest = max(map(len, self.sought))
        self.begins = {tokens[0] for tokens in self.sought if len(tokens) > 1}
        pairs = {pair for tokens in self.sought for pair in itertools.pairwise(tokens)}
        self.number = {token: number for number, token in enumerate(sorted({token for pair in pairs for token in pair}), 1)}
        self.pairs = sorted((self.number[one], self.number[other]) for one, other in pairs)
        self.prefixes: dict[str, int] = {}
        self.suffixes: dict[str, int] = {}

    def __call__(self, chunk: str) -> Cut:
        before = self._split(chunk)
        words = before if self.begins.isdisjoint(before) else self._join(before)
        return Cut(words, words != before, self.number.get(before[0], 0), self.number.get(before[-1], 0))

    def _split(self, chunk: str) -> list[str]:
        """`_tokenize_affixes`: what is taken off at both ends, and what is left cut at its infixes."""
        rules = self.rules
        if chunk in rules:
            return rules[chunk]
        before: list[str] = []
        after: list[str] = []
        size = 0
        while chunk and len(chunk) != size and not (self.whole(chunk) or chunk in rules):
            size = len(chunk)
            front = self._prefix(chunk)
            rest = chunk[front:]
            if front and rest in rules:
                before.append(chunk[:front])
                chunk = rest
                break
            back = self._suffix(rest) if rest else 0
            if back and chunk[:-back] in rules:
                after.append(chunk[-back:])
                chunk = chunk[:-back]
                break
            if front:
                before.append(chunk[:front])
            if back and front + back <= size:
                after.append(chunk[-back:])
                chunk = chunk[front:-back]
            else:
                chunk = rest
        if chunk in rules:
            before += rules[chunk]
        elif chunk.isalnum() or self.whole(chunk) or ("." in chunk and self.url(chunk)):  # no infix is of letters and digits alone
            before.append(chunk)
        elif chunk:
            before += self._infixes(chunk)
        return before + after[::-1]

    def _infixes(self, chunk: str) -> list[str]:
        words, start = [], 0
        for match in self.find_infixes(chunk):
            begin, end = match.span()
            if not begin:
                continue
            if begin != start:
                words.append(chunk[start:begin])
            if begin != end:
                words.append(chunk[begin:end])
            start = end
        if chunk[start:]:
            words.append(chunk[start:])
        return words

    def _prefix(self, chunk: str) -> int:
        """Characters of what is taken off in front. But for dots, plus and currencies ("US$"), that is a matter of the first one."""
        first = chunk[0]
        if first in ".+…" or (first.isalnum() and "$" in chunk):
            return _length(self.find_prefix(chunk))
        known = self.prefixes.get(first)
        if known is None:
            known = self.prefixes[first] = _length(self.find_prefix(first))
        return known

    def _suffix(self, chunk: str) -> int:
        """Characters of what is taken off at the end. But for dots, plus, units and the like, that is a matter of the last one."""
        last = chunk[-1]
        if last.isdecimal() or chunk.isalpha():
            return 0
        if last not in ",)]};:\"'>`":  # the others may be a currency or the end of a unit
            tail = len(chunk) - TAIL
            return _length(self.find_suffix(chunk, tail) if tail > 0 and chunk[tail] not in ".…" else self.find_suffix(chunk))
        known = self.suffixes.get(last)
        if known is None:
            known = self.suffixes[last] = _length(self.find_suffix(last))
        return known

    def _join(self, tokens: list[str]) -> list[str]:
        """`_apply_special_cases`: the longest of what is sought, the first of equals, and none that begins or ends in another."""
        count = len(tokens)
        found = [
            (begin, begin + size)
            for begin, token in enumerate(tokens)
            if token in self.begins or (token,) in self.sought
            for size in range(1, min(self.longest, count - begin) + 1)
            if tuple(tokens[begin : begin + size]) in self.sought
        ]
        seen: set[int] = set()
        ends = {}
        for begin, end in sorted(found, key=lambda span: (span[0] - span[1], span[0])):
            if begin not in seen and end - 1 not in seen:
                ends[begin] = end
            seen.update(range(begin, end))
        words: list[str] = []
        place = 0
        while place < count:
            end = ends.get(place, place + 1)
            words += self.rules.get("".join(tokens[place:end]), tokens[place:end]) if place in ends else tokens[place:end]
            place = end
        return words


def _length(match: Any) -> int:
    return match.end() - match.start() if match else 0


class Words(SpaCyTokenizer):
    """datatrove's own tokenizer, which is kept. datatrove uses it within spaCy's memory zones, which empty its cache after each text, and
    in which spaCy fails on a second text with IS_ALPHA (datatrove then cuts that word out)."""

    def __init__(self) -> None:
        super().__init__("en")
        self.seen = 0
        self._cut: Cutter | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared, ()

    @property
    def tokenizer(self) -> Any:
        """spaCy's pipeline, without torch: spaCy imports it for models that have weights, which is most of the time and memory that it
        takes a worker to begin. thinc asks for torch once in a process, so a filter with such models has it imported before any words are
        cut: by the module of its datatrove filter (`_shouting.py` in docs/writing-a-component.md), which workers import to unpickle it."""
        if alone := not {"spacy", "torch"} & set(sys.modules):
            sys.modules["torch"] = None  # type: ignore[assignment]  # importing it is an ImportError, which spaCy expects
        try:
            return super().tokenizer
        finally:
            if alone:
                del sys.modules["torch"]

    @property
    def cut(self) -> Cutter:
        """Cuts a chunk."""
        if self._cut is None:
            self._cut = Cutter(self.tokenizer.tokenizer)
        return self._cut

    def word_tokenize(self, text: str) -> list[str]:
        """By spaCy itself, of any text."""
        split = self._fresh(text).tokenizer  # without the pipeline's sentence splitter, which words don't need
        return [word for token in split(text) if (word := token.text.strip())]

    def count_sentences(self, text: str) -> int:
        """By spaCy itself, of any text; 0 of an empty one."""
        pipeline = self._fresh(text)
        pipeline.max_length = max(pipeline.max_length, len(text) + 1)  # it is shared
        return sum(1 for _ in pipeline(text).sents)

    def _fresh(self, text: str) -> Any:
        self.seen += len(text)
        if self.seen > RENEW:
            self._tokenizer, self.seen = None, len(text)
        return self.tokenizer


def _shared() -> Words:
    return WORDS


WORDS = Words()  # one in a process
