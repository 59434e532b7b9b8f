"""UL2's denoisers: each mode does what its table says, and nothing of a document is lost."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from denoised import END, WORDS, documents, one_sequence, passage, restored, two_sides

from modelwright_plugins.objective.mixture_of_denoisers import MixtureOfDenoisers

MODES = {WORDS + 200: "R", WORDS + 201: "S", WORDS + 202: "X"}


def test_modes_rates_and_lengths_are_the_papers() -> None:
    objective, text = MixtureOfDenoisers(), np.arange(512) % 499 + 1
    assert objective.special_tokens[-3:] == ("[R]", "[S]", "[X]")
    found = Counter[tuple[str, int, int]]()
    for seed in range(420):
        ((given, said),) = two_sides(objective.example(passage(objective, text, 512, seed)))
        back, gone, mode = restored(given, said, 200)
        assert back == text.tolist()
        assert mode is not None
        found[MODES[mode], sum(gone), len(gone)] += 1
        if MODES[mode] == "S":
            assert given[:-1] == [mode, *text[:384]]  # the last quarter, behind one sentinel
    #  tokens taken out of 512 and in how many spans: 15 % and 50 %, over the mean lengths
    assert set(found) == {("R", 77, 26), ("R", 77, 10), ("S", 128, 1), ("X", 256, 85), ("X", 256, 32), ("X", 77, 1), ("X", 256, 4)}
    assert all(abs(count - 60) < 5 * (60 * 6 / 7) ** 0.5 for count in found.values())


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("family", ["encoder_decoder", "prefix_decoder"])
def test_every_passage_gives_its_documents_back(seed: int, family: str) -> None:
    objective, chance = MixtureOfDenoisers(family=family), np.random.default_rng(seed)
    text = chance.integers(1, 500, size=256)
    text[chance.random(256) < chance.choice([0.0, 0.02, 0.3])] = END
    example = objective.example(passage(objective, text, 256, seed))
    sides = (two_sides if family == "encoder_decoder" else one_sequence)(example)
    back = [restored(*each, 200)[0] for each in sides]
    whole = documents(text)[: len(back)]
    assert back[:-1] == whole[:-1] and back[-1] == whole[-1][: len(back[-1])]
    assert all(given[0] in MODES for given, _ in sides)


def test_documents_of_one_passage_draw_each_their_own() -> None:
    drawn = defaultdict(set)
    for seed in range(20):
        text = np.concatenate([[*range(1, 40), END]] * 5)
        for given, _ in two_sides(MixtureOfDenoisers().example(passage(MixtureOfDenoisers(), text, 256, seed))):
            drawn[seed].add(given[0])
    assert max(len(modes) for modes in drawn.values()) == 3


def test_a_mixture_of_ones_own() -> None:
    none: tuple[float, ...] = ()
    objective = MixtureOfDenoisers(regular_rates=(0.3,), regular_spans=(2,), sequential_rates=none, extreme_rates=none, extreme_spans=none)
    ((given, said),) = two_sides(objective.example(passage(objective, range(1, 101), 100)))
    back, gone, mode = restored(given, said, 200)
    assert (back, sum(gone), len(gone), mode) == (list(range(1, 101)), 30, 15, WORDS + 200)
    with pytest.raises(ValueError, match="are all empty"):
        MixtureOfDenoisers(regular_rates=none, regular_spans=none, sequential_rates=none, extreme_rates=none, extreme_spans=none)
    with pytest.raises(ValueError, match=r"regular_spans is .3.0,.; it has as many as regular_rates, and that has 2"):
        MixtureOfDenoisers(regular_spans=(3.0,))
    with pytest.raises(ValueError, match=r"\[X\] has a share of 1.5"):
        MixtureOfDenoisers(extreme_rates=(1.5,), extreme_spans=(3.0,))
