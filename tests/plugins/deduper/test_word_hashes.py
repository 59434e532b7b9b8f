"""Words hashed in bulk are the words that a regular expression finds, and no others."""

import random
import re
import sys

import numpy as np
import pytest

from modelwright_plugins import powers
from modelwright_plugins.deduper import _words
from modelwright_plugins.deduper._words import word_hashes

ODD = [
    "",
    "  ",
    "One two, TWO; one_two 3 -- İstanbul ΣΑΣ ας naïve",
    "日本語 テキスト ½ ² ٣٤٥ हिन्दी \ud800x \udfff",
    "a\x00b\nc\u2028d \U0001f642 \U0001d518\U00010400",
    "word",
    "ΣΑΣ",
    "x",
]


def words_of(texts):
    return [re.findall(r"\w+", text.lower()) for text in texts]


def test_equal_words_and_only_those_have_equal_hashes():
    pick = random.Random(0)
    alphabet = "abAB _1é\u0301Ωßſ-.\n"
    texts = ODD + ["".join(pick.choices(alphabet, k=pick.randint(0, 300))) for _ in range(500)]
    texts.append("".join(chr(pick.randrange(sys.maxunicode + 1)) for _ in range(20_000)))
    hashes, counts = word_hashes(texts)
    words = words_of(texts)
    assert counts.tolist() == [len(found) for found in words] and hashes.dtype == np.uint64
    known = {}
    for word, value in zip([word for found in words for word in found], hashes.tolist(), strict=True):
        assert known.setdefault(word, value) == value
    assert len(set(known.values())) == len(known) > 3000


@pytest.mark.parametrize("kept", [1, 1 << 19])
def test_a_hash_is_the_polynomial_wherever_the_word_is(kept, monkeypatch):
    monkeypatch.setattr(powers, "KEPT", kept)
    monkeypatch.setattr(powers, "_kept", {"count": 0})
    values = []
    for word in ["a", "zebra", "x" * 5000]:
        value = sum(ord(letter) * pow(powers.BASE, place, 2**64) for place, letter in enumerate(word)) % 2**64
        values.append(_words.mixed(np.array([value], dtype=np.uint64))[0])
    hashes, counts = word_hashes(["A Zebra", "", "- " * 4000 + "x" * 5000, "zebra"])
    assert counts.tolist() == [2, 0, 1, 1] and hashes.tolist() == [values[0], values[1], values[2], values[1]]
