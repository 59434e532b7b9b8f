"""Pairs of segments: their form by hand, classes by statistics, both losses by the paper's formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from denoised import END, WORDS

from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.objective import Passage
from modelwright_plugins.objective.sentence_pairs import NextSentence, Pairs, SentenceOrder
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

MASK, FIRST, SEPARATOR = WORDS, WORDS + 1, WORDS + 2
LENGTH = 32


def example(objective: Pairs, spans: Any, seed: int = 0, length: int = LENGTH) -> dict[str, Any]:
    vocabulary = Vocabulary(WORDS + 3, END, {"<mask>": MASK, "[CLS]": FIRST, "[SEP]": SEPARATOR})
    return objective.example(Passage(tuple(np.asarray(span) for span in spans), length, vocabulary, np.random.default_rng(seed)))


def segments(found: dict[str, Any]) -> tuple[list[int], list[int], int]:
    """(A, B, class) as they were written; the example's form is checked on the way."""
    labels, place = found["labels"], np.arange(len(found["labels"]))
    text = np.where(labels >= 0, labels, found["input_ids"])
    assert text[0] == FIRST
    middle, end = np.flatnonzero(text == SEPARATOR)
    assert (text[end + 1 :] == END).all() and (labels[end + 1 :] == -1).all()
    assert (labels[[0, middle, end]] == -1).all()
    assert (found["tokentype_ids"] == ((place > middle) & (place <= end))).all()
    visible = np.where((place <= end)[:, None], [0, end + 1], np.stack([place, place + 1], 1))
    assert (found["attention_mask"] == visible).all()
    assert (found["position_ids"] == np.where(place <= end, place, 0)).all()
    assert (found["pair_labels"][1:] == -1).all()
    count = (labels >= 0).sum()
    assert (found["loss_weights"] == np.where(place == 0, count, labels >= 0)).all() and count == max(1, round(0.15 * (end - 2)))
    return text[1:middle].tolist(), text[middle + 1 : end].tolist(), int(found["pair_labels"][0])


def test_half_of_the_second_segments_follow_the_first() -> None:
    objective, kinds, cuts = NextSentence(), [], []
    assert objective.spans(LENGTH) == (29, 29)
    one, other = np.arange(1, 30), np.arange(101, 130)
    for seed in range(2000):
        a, b, kind = segments(example(objective, (one, other), seed))
        assert a == list(range(1, len(a) + 1)) and len(a) + len(b) == 29
        assert b == (list(range(101, 101 + len(b))) if kind else list(range(len(a) + 1, 30)))
        kinds.append(kind)
        cuts.append(len(a))
    assert abs(sum(kinds) - 1000) < 4 * 500**0.5
    counts = np.bincount(cuts, minlength=29)[1:]
    assert ((counts - 2000 / 28) ** 2 / (2000 / 28)).sum() < 55.5  # chi-squared, 27 degrees of freedom, p = 0.001


def test_half_of_the_pairs_are_swapped() -> None:
    objective, kinds = SentenceOrder(), []
    assert objective.spans(LENGTH) == (29,)
    text = list(range(1, 30))
    for seed in range(2000):
        a, b, kind = segments(example(objective, (text,), seed))
        assert (b + a if kind else a + b) == text  # nothing is lost
        kinds.append(kind)
    assert abs(sum(kinds) - 1000) < 4 * 500**0.5


def test_a_pair_is_of_one_document() -> None:
    a, b, _ = segments(example(SentenceOrder(), ([1, 2, END, 3, 4, 5, 6, END, 7],)))
    assert sorted(a + b) == [3, 4, 5, 6]
    assert example(NextSentence(), ([END] * 5, [END] * 5))["labels"].tolist() == [-1] * LENGTH  # nothing but ends: no target


def test_the_loss_is_the_sum_of_both_means() -> None:
    """Where sequences are full, as BERT's: mean over masked tokens + mean over pairs, whatever the micro-batch."""
    objective = NextSentence()
    rows = [example(objective, (np.arange(1, 30), np.arange(101, 130)), seed) for seed in range(6)]
    inputs = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    output = torch.rand(6, LENGTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = output[inputs["labels"] >= 0].mean() + output[:, 0].mean()
    total, count = objective.loss(output, inputs)
    assert torch.isclose((total / count).double(), expected, atol=1e-6)
    parts = [objective.loss(output[i : i + 2], {name: value[i : i + 2] for name, value in inputs.items()}) for i in (0, 2, 4)]
    assert torch.isclose(sum(part[0] for part in parts) / sum(part[1] for part in parts), total / count)


def test_a_model_without_the_head_is_refused() -> None:
    assert NextSentence().problems(Encoder()) == []
    assert NextSentence().problems(Encoder(pair_head=False)) == ["objective.NextSentence wants architecture.pair_head=true"]
    assert SentenceOrder().problems(Encoder(token_types=0)) == ["objective.SentenceOrder wants architecture.token_types of 2 or more"]
