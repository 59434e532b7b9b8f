import unicodedata

import numpy as np
import pytest

from modelwright_plugins.deduper.exact import Exact

TEXTS = ["one two", "Three", "one two", "three", "one  two\n", "four", "Three"]


def test_the_first_stands_for_its_like():
    raw = Exact(lower=False, blanks=False)
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


# Each pair differs in one thing only, and each setting joins its pair and no other.
PAIRS = {
    "nfkc": ("ﬁne ＡＢＣ x²", "fine ABC x2"),
    "lower": ("The Mill", "the mill"),
    "punctuation": ("mill, turns — (well)", "mill turns  well"),
    "blanks": ("one\u00a0\n two", "one two"),
}


@pytest.mark.parametrize("setting", PAIRS)
def test_each_setting_joins_what_differs_in_it_only(setting):
    as_it_is = {"nfkc": False, "lower": False, "punctuation": True, "blanks": False}
    exact = Exact(**as_it_is | {setting: not as_it_is[setting]})
    for name, (one, other) in PAIRS.items():
        assert (exact.first(exact.sign([one, other])).tolist() == [0, 0]) == (name == setting), name


def test_normalised_texts_are_those_of_a_slow_formula():
    """Character by character, with Unicode's own tables; and against datatrove's for ASCII, which drops the same punctuation there."""
    exact = Exact(nfkc=True, punctuation=False)
    text = "Ｔhe “ﬁrst” — MILL’s\u2003wheel;\n\n¿turns?  ½ 人人。\u0300é ǅ"
    kept = [c for c in unicodedata.normalize("NFKC", text).lower() if unicodedata.category(c)[0] != "P"]
    assert exact.normal(text) == " ".join("".join(kept).split()) == exact.normal(exact.normal(text))
    plain = "It's  a  (Mill): the wheel, TURNS!  \n"
    assert exact.normal(plain) == "its a mill the wheel turns"
    assert exact.normal("?!") == "?!" and exact.first(exact.sign(["?!", "...", "", "?!"])).tolist() == [0, 1, 2, 0]


def test_lone_surrogates_are_hashed():
    assert Exact(nfkc=True).sign(["\ud800"]).shape == (1, 2)
