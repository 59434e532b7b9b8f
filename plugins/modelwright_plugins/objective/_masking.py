"""Tokens that are hidden and are to be told (Devlin et al. 2019, arXiv:1810.04805, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.tokenizer.vocabulary import Vocabulary

Numbers = NDArray[np.int64]


def picked(eligible: NDArray[np.bool_], rate: float, random: np.random.Generator, words: Numbers | None = None) -> NDArray[np.bool_]:
    """Which of the `eligible` positions [length] are targets: round(rate x eligible), at least one if there is any, each set of so
    many as likely as any other. With `words` [length], the number of each position's word, whole words in random order, but for
    those that would make too many (BERT's create_pretraining_data.py, whole word masking)."""
    places = np.flatnonzero(eligible)
    count = max(round(rate * len(places)), 1)
    found = np.zeros(len(eligible), dtype=bool)
    if words is None:
        found[random.permutation(places)[:count]] = True
        return found
    groups = np.split(places, np.flatnonzero(np.diff(words[places])) + 1) if len(places) else []
    for word in random.permutation(len(groups)):
        if len(groups[word]) <= count:
            found[groups[word]] = True
            count -= len(groups[word])
    if groups and not found.any():  # every word is longer than that
        found[min(groups, key=len)] = True
    return found


def hidden(
    text: Numbers,
    targets: NDArray[np.bool_],
    mask: int,
    *,
    masked: float,
    replaced: float,
    vocabulary: Vocabulary,
    random: np.random.Generator,
    spans: Numbers | None = None,
) -> Numbers:
    """`text` [length] with this share of targets masked, this share replaced by any token that is not special, and the rest kept. With
    `spans` [length], the number of each position's span, below `length`, what is done to one of its targets is done to all."""
    chance, other = random.random(len(text)), ordinary(vocabulary, len(text), random)
    if spans is not None:
        chance = chance[spans]
    changed = np.where(chance < masked, mask, np.where(chance < masked + replaced, other, text))
    return np.where(targets, changed, text)


def ordinary(vocabulary: Vocabulary, count: int, random: np.random.Generator) -> Numbers:
    """Tokens that are neither special nor the end of a document, each as likely as any other."""
    apart = sorted({vocabulary.end_of_document, *vocabulary.special.values()})
    drawn = random.integers(vocabulary.size - len(apart), size=count)
    for token in apart:
        drawn += drawn >= token
    return drawn


def word_numbers(text: Numbers, pieces: list[str]) -> Numbers:
    """The number of each token's word: a piece that doesn't begin with a space or a new line goes on with the word before; a token
    without text is a word of its own, and so is what comes after it."""
    return np.cumsum(list(_begins(text.tolist(), pieces)))


def _begins(tokens: Iterable[int], pieces: list[str]) -> Iterable[bool]:
    after = True
    for token in tokens:
        piece = pieces[token]
        yield after or not piece or piece[0].isspace()
        after = not piece
