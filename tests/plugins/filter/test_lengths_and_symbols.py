"""Each side of each limit, counted by hand."""

import pytest
from datatrove.data import Document

from modelwright_plugins.filter.length import Length, SymbolRatio

ANY = {"min_words": None, "max_words": None}


def decide(component, text):
    decision = component.build().filter(Document(text=text, id="x", metadata={}))
    return decision if decision is True else decision[1]


@pytest.mark.parametrize(
    ("limits", "passes", "fails", "reason"),
    [
        ({"min_bytes": 4}, "éé", "éx", "too_few_bytes"),
        ({"max_bytes": 4}, "éé", "ééx", "too_many_bytes"),
        ({"min_characters": 3}, "ééé", "éé", "too_few_characters"),
        ({"max_characters": 3}, "ééé", "éééé", "too_many_characters"),
        ({"min_words": 3}, "one two,\nthree", "one  two,", "too_few_words"),
        ({"max_words": 2}, "one two", "one two\n3", "too_many_words"),
        ({"min_lines": 2}, "one\n\n  \ntwo", "one\n\n  \n", "too_few_lines"),
        ({"max_lines": 1}, "one\n\n", "one\ntwo", "too_many_lines"),
    ],
)
def test_each_side_of_a_length(limits, passes, fails, reason):
    assert decide(Length(**ANY | limits), passes) is True
    assert decide(Length(**ANY | limits), fails) == reason


def test_defaults_are_gophers_words():
    assert decide(Length(), "w " * 49) == "too_few_words" and decide(Length(), "w " * 50) is True
    assert decide(Length(), "w " * 100_000) is True and decide(Length(), "w " * 100_001) == "too_many_words"


NONE = {"max_per_word": None}


@pytest.mark.parametrize(
    ("limits", "passes", "fails", "reason"),
    [
        ({}, "# " + "w " * 9, "# # " + "w " * 9, "too_many_symbols"),  # 1 of 10 words; 2 of 11
        ({}, "w " * 18 + "w... …", "w " * 17 + "w... …", "too_many_symbols"),  # both kinds of ellipsis together: 2 of 20, of 19 words
        ({}, "# ... " + "w " * 8, "# # " + "w " * 8, "too_many_symbols"),  # each on its own: 1 and 1 of 10 words; 2 of 10
        (NONE | {"max_special": 0.5}, "ab1 ", "a1 .", "too_many_special_characters"),
        (NONE | {"max_special": 0.25}, "हिन्दी।", "हिन्दी।।।", "too_many_special_characters"),  # signs of vowels are of the letters
        (NONE | {"max_digits": 0.5}, "a1b2", "a123", "too_many_digits"),
        (NONE | {"max_capitals": 0.5}, "AbCd12", "ABCd12", "too_many_capitals"),
    ],
)
def test_each_side_of_a_ratio(limits, passes, fails, reason):
    assert decide(SymbolRatio(**limits), passes) is True
    assert decide(SymbolRatio(**limits), fails) == reason


def test_bad_limits():
    with pytest.raises(ValueError, match="min_words is 9; it is at most max_words=8"):
        Length(min_words=9, max_words=8)
    with pytest.raises(ValueError, match="max_bytes is -1"):
        Length(max_bytes=-1)
    with pytest.raises(ValueError, match="one of them is empty"):
        SymbolRatio(symbols=("#", ""))
    with pytest.raises(ValueError, match="max_digits is -1"):
        SymbolRatio(max_digits=-1)
