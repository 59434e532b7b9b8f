"""Words for datatrove's filters: its spaCy tokens, from one tokenizer that is kept, cut once for all filters of a document."""

from __future__ import annotations

from typing import Any

from datatrove.utils.word_tokenizers import SpaCyTokenizer

RENEW = 100_000_000  # characters: spaCy keeps every word that it has seen, so the tokenizer is made anew now and then


class Words(SpaCyTokenizer):
    """Given to a datatrove filter as its `language`.

    datatrove's own tokenizer is used within spaCy's memory zones, which empty its cache after each text, and in which spaCy fails on
    a second text with IS_ALPHA (datatrove then cuts that word out). Any two of this class are equal, so that datatrove's cache of
    the last few splits, keyed by text and language, serves all filters of a document.
    """

    def __init__(self) -> None:
        super().__init__("en")
        self.seen = 0

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self).__name__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared, ()

    def word_tokenize(self, text: str) -> list[str]:
        self.seen += len(text)
        if self.seen > RENEW:
            self._tokenizer, self.seen = None, len(text)
        split = self.tokenizer.tokenizer  # without the pipeline's sentence splitter, which words don't need
        words = split(text)
        numbers = words.to_array("ORTH").tolist()  # the same as each token's text, without making a token
        strings = words.vocab.strings
        text_of = {number: strings[number].strip() for number in set(numbers)}
        return [text for number in numbers if (text := text_of[number])]


def _shared() -> Words:
    return WORDS


WORDS = Words()  # one in a process
