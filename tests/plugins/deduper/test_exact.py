import numpy as np

from modelwright_plugins.deduper.exact import Exact

TEXTS = ["one two", "Three", "one two", "three", "one  two\n", "four", "Three"]


def test_the_first_stands_for_its_like():
    raw = Exact(normalize=False)
    assert raw.first(raw.sign(TEXTS)).tolist() == [0, 1, 0, 3, 4, 5, 1]
    normalized = Exact()
    assert normalized.first(normalized.sign(TEXTS)).tolist() == [0, 1, 0, 1, 0, 5, 1]


def test_against_a_dictionary():
    numbers = np.random.default_rng(0).integers(0, 400, 1000)
    texts = [f"text {n}" for n in numbers]
    seen: dict[str, int] = {}
    expected = [seen.setdefault(text, i) for i, text in enumerate(texts)]
    exact = Exact()
    parts = [exact.sign(texts[:300]), exact.sign([]), exact.sign(texts[300:])]
    assert exact.first(np.concatenate(parts)).tolist() == expected


def test_no_documents():
    assert Exact().first(Exact().sign([])).tolist() == []
