"""Masked LM: rates by statistics, whole words by hand, nothing of the text lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from denoised import END, WORDS, passage

from modelwright_plugins.objective import Passage
from modelwright_plugins.objective._masking import word_numbers
from modelwright_plugins.objective.masked_lm import MaskedLM
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def texts(count: int, length: int = 128) -> Any:
    return np.random.default_rng(5).integers(1, WORDS, (count, length))


def test_rates_are_the_papers() -> None:
    objective, length = MaskedLM(), 128
    given, labels, source = [], [], texts(400, length)
    for seed, text in enumerate(source):
        found = objective.example(passage(objective, text, length, seed))
        assert (np.where(found["labels"] >= 0, found["labels"], found["input_ids"]) == text).all()  # nothing is lost
        assert (found["labels"] >= 0).sum() == 19  # round(0.15 x 128), in each sequence
        given.append(found["input_ids"])
        labels.append(found["labels"])
    given, labels = np.stack(given), np.stack(labels)
    targets = labels >= 0
    count = targets.sum()
    masked, kept = (given == WORDS)[targets].sum(), (given == labels)[targets].sum()
    for seen, share in ((masked, 0.8), (kept, 0.1 + 0.1 / WORDS), (count - masked - kept, 0.1 - 0.1 / WORDS)):
        assert abs(seen - share * count) < 4 * (share * (1 - share) * count) ** 0.5
    replaced = given[targets & (given != WORDS) & (given != labels)]
    assert replaced.min() >= 1 and replaced.max() < WORDS and len(np.unique(replaced)) > 300  # of all words, no special token
    places = targets.sum(0)
    assert ((places - 400 * 19 / 128) ** 2 / (400 * 0.148 * 0.852)).sum() < 182  # chi-squared, 128 places, p = 0.001


def test_ends_of_documents_are_no_targets_and_documents_stay_apart() -> None:
    objective = MaskedLM(rate=1.0)
    text = np.array([3, 4, END, 5, 6, 7])
    found = objective.example(passage(objective, text, 6))
    assert found["labels"].tolist() == [3, 4, -1, 5, 6, 7]
    assert found["attention_mask"].tolist() == [[0, 2]] * 2 + [[2, 6]] * 4
    assert found["position_ids"].tolist() == [0, 1, 0, 1, 2, 3]


@dataclass(frozen=True)
class Spoken(Vocabulary):
    """Its odd tokens go on with the word before."""

    @property
    def pieces(self) -> list[str]:  # type: ignore[override]
        return [""] + ["on" if token % 2 else " word" for token in range(1, self.size)]


def test_whole_words_are_targets_or_not() -> None:
    objective, length, sizes = MaskedLM(whole_word=True), 64, []
    for seed, text in enumerate(texts(200, length)):
        vocabulary = Spoken(WORDS + 1, END, {"<mask>": WORDS})
        found = objective.example(Passage((text,), length, vocabulary, np.random.default_rng(seed)))
        targets = found["labels"] >= 0
        starts = (text % 2 == 0) | (np.arange(length) == 0)
        for word in np.split(targets, np.flatnonzero(starts)[1:]):
            assert word.all() or not word.any()
        sizes.append(targets.sum())
        assert 1 <= targets.sum() <= 10  # round(0.15 x 64), or less where no word fits
    assert np.mean(sizes) > 9.5


def test_words_begin_with_a_space() -> None:
    pieces = ["", "The", " mill", "er", "'s", "\n", "�", " �"]
    assert word_numbers(np.array([1, 2, 3, 4, 5, 1, 7, 6, 0, 3, 4]), pieces).tolist() == [1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6]


def test_one_word_that_is_too_long_is_a_target_all_the_same() -> None:
    vocabulary = Spoken(WORDS + 1, END, {"<mask>": WORDS})
    found = MaskedLM(whole_word=True).example(Passage((np.full(8, 3),), 8, vocabulary, np.random.default_rng(0)))
    assert (found["labels"] == 3).all()


def test_bad_shares_are_told() -> None:
    with pytest.raises(ValueError, match=r"rate is 1\.5; it is a share from 0 to 1"):
        MaskedLM(rate=1.5)
    with pytest.raises(ValueError, match=r"masked is 0.8 and replaced 0.3; together they are at most 1"):
        MaskedLM(replaced=0.3)
