"""T5's span corruption: lengths and spans are those of T5's code, and nothing of a document is lost."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from denoised import END, documents, one_sequence, passage, restored, two_sides

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.objective.span_corruption import SpanCorruption


def noise_mask(length: int, density: float, mean: float, chance: random.Random) -> list[bool]:
    """T5's random_spans_noise_mask, token by token."""
    noise = min(max(round(length * density), 1), length - 1)
    spans = max(round(noise / mean), 1)

    def cut(items: int) -> list[int]:
        first = [True] * (spans - 1) + [False] * (items - spans)
        chance.shuffle(first)
        lengths = [1]
        for begins in first:
            lengths = [*lengths, 1] if begins else [*lengths[:-1], lengths[-1] + 1]
        return lengths

    gone, stay = cut(noise), cut(length - noise)
    return [each for one, other in zip(stay, gone, strict=True) for each in [False] * one + [True] * other]


def t5_lengths(inputs: int, density: float, mean: float) -> tuple[int, int]:
    """T5's random_spans_helper: (tokens of text, targets)."""

    def sides(text: int) -> tuple[int, int]:
        noise = round(text * density)
        spans = round(noise / mean)
        return text - noise + spans + 1, noise + spans + 1

    text = inputs
    while sides(text + 1)[0] <= inputs:
        text += 1
    return text, sides(text)[1]


@pytest.mark.parametrize("length", [512, 1024, 2048])
def test_lengths_are_those_of_t5(length: int) -> None:
    text, targets = t5_lengths(length, 0.15, 3.0)
    assert length != 512 or (text, targets) == (568, 114)  # as published
    assert SpanCorruption(sentinels=200).spans(length) == (text,)  # random_spans_helper's tokens_length
    example = SpanCorruption(sentinels=200).example(passage(SpanCorruption(sentinels=200), np.arange(text) % 499 + 1, length))
    assert (example["labels"] >= 0).sum() == targets and len(example["labels"]) == -(-targets // 8) * 8
    assert len(example["input_ids"]) == length
    ((given, said),) = two_sides(example)
    assert len(given) + 1 >= length - 1 and len(said) + 1 == targets  # the encoder is full


def test_spans_are_distributed_as_t5s() -> None:
    objective, chance = SpanCorruption(noise_density=0.4, mean_span=2.0), random.Random(0)
    mine, theirs = Counter[tuple[bool, ...]](), Counter[tuple[bool, ...]]()
    text = list(range(1, 11))
    for seed in range(750):
        ((given, _),) = two_sides(objective.example(passage(objective, text, 10, seed)))
        mine[tuple(token not in given for token in text)] += 1
        theirs[tuple(noise_mask(10, 0.4, 2.0, chance))] += 1
    assert set(mine) == set(theirs) and len(mine) == 3 * 5  # 4 of 10 in 2 spans: 3 ways to cut those, 5 to cut the rest
    assert all(abs(count - 50) < 5 * 50**0.5 for count in mine.values())


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("family", ["encoder_decoder", "prefix_decoder"])
def test_every_passage_gives_its_documents_back(seed: int, family: str) -> None:
    chance = np.random.default_rng(seed)
    density, mean = (float(chance.choice(each)) for each in ((0.15, 0.3, 0.5), (1.0, 3.0, 8.0)))
    objective = SpanCorruption(noise_density=density, mean_span=mean, sentinels=300, family=family)
    (size,) = objective.spans(200)
    text = chance.integers(1, 500, size=size)
    text[chance.random(size) < chance.choice([0.0, 0.02, 0.3])] = END
    example = objective.example(passage(objective, text, 200, seed))
    assert len(example["input_ids"]) == len(example["attention_mask"]) == 200
    back = [restored(*sides, 300)[0] for sides in (two_sides if family == "encoder_decoder" else one_sequence)(example)]
    whole = documents(text)[: len(back)]
    assert back[:-1] == whole[:-1] and back[-1] == whole[-1][: len(back[-1])]
    if len(documents(text)) == 1:
        assert len(back[0]) >= size - 1  # a document of its own is not cut


def test_rate_and_mean_length_are_the_papers() -> None:
    objective = SpanCorruption()
    gone: list[int] = []
    for seed in range(50):
        ((given, said),) = two_sides(objective.example(passage(objective, np.arange(568) % 499 + 1, 512, seed)))
        gone += restored(given, said, 100)[1]
    assert sum(gone) / (50 * 568) == pytest.approx(0.15, abs=0.001)
    assert np.mean(gone) == pytest.approx(3.0, abs=0.05)
    assert min(gone) == 1 and max(gone) > 8


def test_what_does_not_go_together_is_told() -> None:
    with pytest.raises(ModelwrightError, match=r"objective.sentinels=100 are fewer than the 154 spans"):
        SpanCorruption().spans(2770)
    with pytest.raises(ValueError, match="noise_density is 1"):
        SpanCorruption(noise_density=1)
    with pytest.raises(ValueError, match="targets is 8; with family=prefix_decoder"):
        SpanCorruption(family="prefix_decoder", targets=8)
    assert "trains encoder_decoder or prefix_decoder" in SpanCorruption().problems(CausalDecoder())[0]


def test_a_document_of_one_token_stays() -> None:
    example = SpanCorruption().example(passage(SpanCorruption(), [7, END, *range(10, 30)], 40))
    assert two_sides(example)[0] == ([7], [])
