"""Limits that other tests come near to: a document exactly at one, and one just beyond."""

import dataclasses

import pytest
from datatrove.data import Document
from small_filters import write_fasttext

from modelwright_plugins.filter.boilerplate import Boilerplate
from modelwright_plugins.filter.decontamination import Decontamination
from modelwright_plugins.filter.language import FastTextLanguage, Language
from modelwright_plugins.filter.perplexity import Perplexity
from modelwright_plugins.filter.toxicity import ToxicWords
from modelwright_plugins.filter.url import URLBlocklist


def decide(component, text, **metadata):
    decision = component.build().filter(Document(text=text, id="x", metadata=metadata))
    return decision if decision is True else decision[1]


def test_share_of_a_language():
    english = "The committee met on Tuesday to discuss the new rules, and most of its members agreed with them.\n"
    german = "Der Ausschuss traf sich am Dienstag, um die neuen Regeln zu besprechen, und die meisten stimmten zu.\n"
    mixed = english * 3 + german * 2
    share = next(iter(Language().build().measure(Document(text=mixed, id="x")).values()))
    assert 0.5 < share < 0.7  # CLD2 gives whole percents
    assert decide(Language(min_share=share), mixed) is True
    assert decide(Language(min_share=share + 0.001), mixed) == "language_below_share"


def test_a_score_must_be_more_than_the_least(tmp_path):
    """Half of the words are of each language, and its softmax is of equals: a half, to the last bit of float32."""
    model = FastTextLanguage(model=write_fasttext(tmp_path / "m.bin", {"en": "mill", "de": "Mühle"}), languages=("en", "de"))
    score = next(iter(model.build().measure(Document(text="mill Mühle", id="x")).values()))
    assert score == pytest.approx(0.5, abs=1e-4)
    assert decide(dataclasses.replace(model, min_score=score), "mill Mühle") == "language_below_score"
    assert decide(dataclasses.replace(model, min_score=score - 1e-9), "mill Mühle") is True
    for least, outside in ((score, True), (score - 1e-9, False)):  # bounds allow their ends
        (bound,) = dataclasses.replace(model, min_score=least).build().bounds().values()
        assert (score < bound.least) == outside


def test_perplexity_at_its_bounds(tmp_path):
    (tmp_path / "good.txt").write_text("the mill turns when the wind blows\n" * 5)
    common = Perplexity(train_on=(tmp_path / "good.txt",), max_perplexity=100.0)
    found = next(iter(common.build().measure(Document(text="the wind turns", id="x")).values()))
    for bound, beyond in (("min_perplexity", found * (1 + 1e-12)), ("max_perplexity", found * (1 - 1e-12))):
        assert decide(dataclasses.replace(common, **{"max_perplexity": None, bound: found}), "the wind turns") is True
        assert decide(dataclasses.replace(common, **{"max_perplexity": None, bound: beyond}), "the wind turns").startswith("perplexity_too")


def test_a_piece_that_is_just_long_enough(tmp_path):
    """Of what is left before an overlap, 200 characters stay and 199 don't; an example of 8 words is looked for, one of 7 isn't."""
    (tmp_path / "set.txt").write_text(
        "one two three four five six seven eight nine ten eleven twelve thirteen\n\na b c d e f g h\n\nq r s t u v w"
    )
    component = Decontamination(paths=(tmp_path / "set.txt",), mode="cut")
    filler = "".join(f"{n:04d} " for n in range(80))  # 400 characters
    planted = "one two three four five six seven eight nine ten eleven twelve thirteen"
    for before, left in ((filler, filler[:200]), (filler[1:], None)):
        document = Document(text=before + planted, id="x", metadata={})
        decision = component.build().filter(document)
        assert (decision is True and document.text == left) if left else decision == (False, f"overlaps_{tmp_path.name}/set"[:60])
    drop = dataclasses.replace(component, mode="drop")
    assert decide(drop, "x a b c d e f g h x").startswith("overlaps") and decide(drop, "x q r s t u v w x") is True


def test_numbers_of_words(tmp_path):
    (tmp_path / "list").write_text("foul\ndarn\nheck\n")
    lists = (tmp_path / "list",)
    three, two = "foul darn heck", "foul darn fine"
    assert decide(ToxicWords(lists=lists, max_share=0.5), two) is True  # two are allowed by number
    assert decide(ToxicWords(lists=lists, max_share=0.5), three) == "toxic_words"
    assert decide(ToxicWords(lists=lists, max_share=0.5), three + " w w w") is True  # half of six
    url = URLBlocklist(soft_words=lists, max_soft_words=2)
    assert decide(url, "x", url="https://a.org/foul-darn") is True
    assert decide(url, "x", url="https://a.org/foul-darn-heck") == "soft_words"


def test_share_of_boilerplate():
    text = "w " * 6 + "\nSign in"  # 2 of 8 words
    assert decide(Boilerplate(max_removed=0.25), text) is True
    assert decide(Boilerplate(max_removed=0.2499), text) == "mostly_boilerplate"
    phrase = Boilerplate(max_words=2)
    for line, left in (("Sign in\nbody", "body"), ("Sign in now\nbody", "Sign in now\nbody")):
        document = Document(text=line, id="x", metadata={})
        assert phrase.build().filter(document) is True and document.text == left
