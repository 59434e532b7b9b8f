"""BART's noise: whole sentences in another order, spans behind masks as the paper draws them, and the document as targets."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import pytest
from denoised import END, WORDS, documents, two_sides

from modelwright_plugins.objective import Passage
from modelwright_plugins.objective.bart import BART, MASK
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


@dataclass(frozen=True)
class Words(Vocabulary):
    """Every tenth word ends with a full stop."""

    @cached_property
    def pieces(self) -> list[str]:
        return [f" w{token}." if token % 10 == 9 else f" w{token}" for token in range(self.size)]


def sides(objective: BART, text: object, length: int, seed: int) -> list[tuple[list[int], list[int]]]:
    vocabulary = Words(WORDS + 1, END, {MASK: WORDS})
    return two_sides(objective.example(Passage((np.asarray(text),), length, vocabulary, np.random.default_rng(seed))))


def sentences(document: list[int]) -> list[tuple[int, ...]]:
    found: list[list[int]] = [[]]
    for token in document:
        found[-1].append(token)
        if token % 10 == 9:
            found.append([])
    return [tuple(each) for each in found if each]


def test_sentences_stay_whole_and_come_in_every_order() -> None:
    text = list(range(1, 26))  # 1-9, 10-19, and 20-25 without a full stop
    orders = Counter()
    for seed in range(600):
        ((given, told),) = sides(BART(infill=False), text, 40, seed)
        assert told == text and sorted(given) == text
        orders[tuple(token for token in given if token in (1, 10, 20))] += 1
        for first, size in ((1, 9), (10, 10), (20, 6)):
            assert given[given.index(first) :][:size] == list(range(first, first + size))
    assert len(orders) == 6 and all(abs(count - 100) < 5 * 100**0.5 for count in orders.values())


def test_spans_are_the_papers() -> None:
    text, lengths, hidden = list(range(1, 401)), Counter[int](), 0
    for seed in range(100):
        ((given, told),) = sides(BART(permute_sentences=False), text, 401, seed)
        assert told == text
        kept = [token for token in given if token != WORDS]
        assert kept == sorted(kept)  # nothing else has changed
        hidden += 400 - len(kept)
        bounds = [0, *given, 401]
        for place, run in groupby(enumerate(bounds), key=lambda each: each[1] == WORDS):
            members = list(run)
            if place and len(members) == 1:  # a mask alone between two words tells what it hides
                at = members[0][0]
                lengths[bounds[at + 1] - bounds[at - 1] - 1] += 1
    assert hidden == 100 * 120  # 30 %
    total = sum(lengths.values())
    for length in range(8):
        chance = math.exp(-3) * 3**length / math.factorial(length)
        # the last span of each document is cut: shorter by chance
        assert lengths[length] / total == pytest.approx(chance, abs=4 * (chance / total) ** 0.5 + 0.01), length


def test_places_are_as_likely_as_any_other() -> None:
    objective, found = BART(permute_sentences=False, mask_rate=0.1, mean_span=50), Counter[int]()
    for seed in range(1000):  # one span of a single token
        ((given, _),) = sides(objective, range(1, 11), 20, seed)
        found[given.index(WORDS)] += 1
    assert set(found) == set(range(10)) and all(abs(count - 100) < 5 * 100**0.5 for count in found.values())


@pytest.mark.parametrize("seed", range(40))
def test_every_passage_gives_its_documents_back(seed: int) -> None:
    chance = np.random.default_rng(seed)
    text = chance.integers(1, WORDS, size=200)
    text[chance.random(200) < chance.choice([0.0, 0.02, 0.3])] = END
    whole = documents(text)
    found = sides(BART(), text, 200, seed)
    told = [document for _, document in found]
    assert told[:-1] == whole[: len(told) - 1] and told[-1] == whole[len(told) - 1][: len(told[-1])]
    assert sum(len(each) + 1 for each in told) >= min(199, sum(len(each) + 1 for each in whole))
    for given, document in found:
        left = Counter(document)
        left.subtract(token for token in given if token != WORDS)
        assert min(left.values()) >= 0 and sum(left.values()) <= round(0.3 * len(document))  # no word is of another document
        assert len(given) <= len(document)


def test_settings_that_do_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="permute_sentences is false and infill too"):
        BART(permute_sentences=False, infill=False)
    with pytest.raises(ValueError, match="mask_rate is 30"):
        BART(mask_rate=30)
