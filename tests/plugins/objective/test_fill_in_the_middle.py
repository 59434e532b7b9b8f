"""Rearranged documents: each gives itself back, in a passage of the same length, as often and cut where the paper says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelwright_plugins.objective import Passage
from modelwright_plugins.objective.fill_in_the_middle import MIDDLE, PREFIX, SUFFIX, FillInTheMiddle
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

END, PRE, MID, SUF = 0, 500, 501, 502
VOCABULARY = Vocabulary(503, END, {PREFIX: PRE, MIDDLE: MID, SUFFIX: SUF})


def stream(objective: FillInTheMiddle, text: Any, seed: int = 0) -> list[int]:
    """The tokens of an example: its inputs, and the last label."""
    found = objective.example(Passage((np.asarray(text),), len(text) - 1, VOCABULARY, np.random.default_rng(seed)))
    assert found["labels"][:-1].tolist() == found["input_ids"][1:].tolist()
    return [*found["input_ids"].tolist(), int(found["labels"][-1])]


def documents(tokens: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for token in tokens:
        if token == END:
            found.append([])
        else:
            found[-1].append(token)
    return found


def restored(document: list[int]) -> tuple[list[int], str, tuple[int, int]]:
    """The document as it was written, how it was rearranged, and the lengths of prefix and middle, which SPM does not tell apart.
    Without a prefix both orders are the same: that is called SPM here."""
    if PRE not in document:
        return document, "as it was", (0, 0)
    assert [document.count(mark) for mark in (PRE, MID, SUF)] == [1, 1, 1] and document[0] == PRE
    suffix, middle = document.index(SUF), document.index(MID)
    if suffix == 1:
        rest = document[middle + 1 :]
        return rest + document[2:middle], "spm", (len(rest), 0)
    first, last = document[1:suffix], document[middle + 1 :]
    return first + last + document[suffix + 1 : middle], "psm", (len(first), len(last))


def test_a_document_by_hand() -> None:
    words = list(range(10, 20))
    found = stream(FillInTheMiddle(rate=1, spm=0), [*words, END, *range(30, 40), END])
    first, second = documents(found)[:2]
    assert len(first) == 13 and restored(first)[0] == words
    assert second[0] == PRE and len(found) == 22
    assert restored(second)[0] == list(range(30, 35))  # cut by what the marks of both took
    assert stream(FillInTheMiddle(rate=0), [*words, END, 7]) == [*words, END, 7]


@pytest.mark.parametrize("seed", range(100))
def test_every_passage_keeps_its_length_and_gives_its_documents_back(seed: int) -> None:
    random = np.random.default_rng(seed)
    text = random.integers(1, 500, size=200)
    text[random.random(200) < random.choice([0.0, 0.02, 0.3])] = END
    found = stream(FillInTheMiddle(rate=0.7), text, seed)
    assert len(found) == 200
    back, whole = [restored(document)[0] for document in documents(found)], documents(text.tolist())
    assert back[:-1] == whole[: len(back) - 1]
    assert back[-1] == whole[len(back) - 1][: len(back[-1])]


def test_rate_order_and_places_are_the_papers() -> None:
    how, lengths = [], []
    for seed in range(4000):
        _, kind, found = restored(stream(FillInTheMiddle(rate=0.6, spm=0.25), np.arange(1, 21), seed))
        how.append(kind)
        lengths += [found] if kind == "psm" else []
    pairs = np.array([(min(a, b), abs(a - b)) for a in range(18) for b in range(18)])  # two places of 18 around 17 tokens, each as likely
    pairs = pairs[pairs[:, 0] > 0]
    psm = 0.6 * 0.75 * len(pairs) / 324
    share = [how.count(kind) / 4000 for kind in ("psm", "spm")]
    np.testing.assert_allclose(share, [psm, 0.6 - psm], atol=4 * (0.25 / 4000) ** 0.5)
    for mine, expected in zip(np.array(lengths).T, pairs.T, strict=True):
        chance = np.bincount(expected, minlength=18) / len(pairs)
        observed, wanted = np.bincount(mine, minlength=18)[chance > 0], len(mine) * chance[chance > 0]
        chi = ((observed - wanted) ** 2 / wanted).sum()
        assert mine.max() < 18 and chi < 17 + 4 * (2 * 17) ** 0.5  # 16 or 17 degrees of freedom


def test_documents_do_not_see_each_other() -> None:
    text = np.array([*range(1, 9), END, *range(11, 30)])
    found = FillInTheMiddle(rate=1).example(Passage((text,), len(text) - 1, VOCABULARY, np.random.default_rng(0)))
    end = found["input_ids"].tolist().index(END)
    assert (found["attention_mask"][end:, 0] == end).all()
    assert found["position_ids"].tolist() == [*range(end), *range(len(text) - 1 - end)]
