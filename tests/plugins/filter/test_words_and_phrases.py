"""Lists of words: C4's bad words as datatrove decides, toxic words counted, and the automaton under both against plain expressions."""

import re
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import C4BadWordsFilter, C4ParagraphFilter
from datatrove.pipeline.filters import c4_filters as stock

from modelwright_plugins.filter._keywords import Keywords
from modelwright_plugins.filter.c4 import C4BadWords, C4Paragraph
from modelwright_plugins.filter.toxicity import ToxicWords

LDNOOBW = Path("/work/shared/data/ldnoobw")
WIKITEXT = Path("/work/shared/data/wikitext-2/valid.txt")


def decide(built, text, **metadata):
    decision = built.filter(Document(text=text, id="x", metadata=metadata))
    return decision if decision is True else decision[1]


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "en").write_text("# words\ndarn\n\nheck of a\nGosh\n")
    (tmp_path / "ja").write_text("ばか\nsm\n")
    (tmp_path / "README.md").write_text("the\n")
    return tmp_path


def test_a_page_with_a_bad_word_goes(lists):
    built = C4BadWords(folder=lists).build()
    assert decide(built, "A darning needle, heck of all.") is True
    assert decide(built, "Well, DARN!") == decide(built, "one heck of a day") == "document_removed_with_badwords"
    assert decide(built, "two # words") is True  # a comment
    assert decide(built, "Gosh.") == "document_removed_with_badwords"  # a capital in the list
    assert decide(built, "この人はばかです", language="ja") == "document_removed_with_badwords"
    assert decide(built, "darn", language="ja") is True and decide(built, "darn", language="en-GB") == "document_removed_with_badwords"
    assert decide(built, "asm", language="ja") is True  # mC4 lets `sm` go: it is in too many words
    assert decide(built, "darn", language="fr") is True
    assert decide(C4BadWords(folder=lists, without_list="drop").build(), "x", language="fr") == "language_without_list"


def test_which_bad_page_stays_is_a_matter_of_its_text(lists):
    built = C4BadWords(folder=lists, keep_share=0.3, seed=5).build()
    kept = [decide(built, f"darn {n}") is True for n in range(1000)]
    assert 250 < sum(kept) < 350 and kept == [decide(built, f"darn {n}") is True for n in range(1000)]


@pytest.fixture
def no_net(monkeypatch):
    monkeypatch.setattr(stock, "cached_asset_path_or_download", lambda url, **_: str(LDNOOBW / url.rpartition("/")[2]))


@pytest.mark.skipif(not LDNOOBW.is_dir(), reason="needs LDNOOBW's lists")
def test_bad_words_as_datatrove_decides(no_net):
    text = WIKITEXT.read_text(encoding="utf-8")
    pages = [text[at : at + 1500] for at in range(0, len(text), 1500)]
    dice = Random(3)
    for language in ("en", "ja", "hi", "ru", "ar"):
        ours, theirs = C4BadWords(folder=LDNOOBW).build(), C4BadWordsFilter()
        words = (LDNOOBW / language).read_text(encoding="utf-8").split()  # and parts of phrases
        some = [dice.choice(pages)[:200] + dice.choice(("", " ", "-", "x", "_", "é", "\u093f")) + dice.choice(words) for _ in range(150)]
        some += [t + dice.choice(("", ".", "s", "\n", "9")) + dice.choice(pages)[:100] for t in some]
        some += pages if language == "en" else []
        found = [decide(ours, t, language=language) for t in some]
        assert found == [decide(theirs, t, language=language) for t in some]
        assert len({*found}) == 2


def test_paragraphs_as_datatrove_decides():
    built, theirs = C4Paragraph().build(), C4ParagraphFilter()
    for lines in ([200, 200, 200], [199, 200, 200], [200, 5, 300, 0, 201], [500, 500], [], [200] * 9):
        text = "\n".join("x" * n for n in lines)
        assert (decide(built, text) is True) == (theirs.filter(Document(text=text, id="x")) is True)
    assert decide(built, "x" * 200) == "too_few_paragraphs"
    five = C4Paragraph(min_paragraphs=5, min_characters=2).build()
    assert decide(five, "ab\n" * 5) is True and decide(five, "ab\n" * 4 + "a") == "too_few_paragraphs"


def test_toxic_words_are_counted(tmp_path):
    (tmp_path / "list").write_text("# ours\nfoul\nfoul play\nばか\n")
    component = ToxicWords(lists=(tmp_path / "list",), max_matches=1, max_share=0.1)
    built = component.build()
    assert decide(built, "foul " + "w " * 3) is True  # one is allowed, whatever the share
    assert decide(built, "foul Foul! " + "w " * 17) == "toxic_words"  # 2 of 19 words
    assert decide(built, "foul Foul! " + "w " * 18) is True  # 2 of 20
    document = Document(text="foul play, foully unfoul a_foul, これはばかだばか", id="x", metadata={})
    assert built.filter(document)[1] == "toxic_words"
    assert document.metadata["toxic_words"] == 3  # `foul play` once, and two without spaces
    assert decide(ToxicWords(lists=(tmp_path / "list",), max_matches=0, max_share=0, allowed=("FOUL",)).build(), "foul foul") is True


def test_the_automaton_finds_what_an_expression_finds():
    dice = Random(1)
    words = ["".join(dice.choices("ab c", k=dice.randint(1, 4))).strip() or "a" for _ in range(12)]
    keywords = Keywords(words)
    for _ in range(300):
        text = "".join(dice.choices("aabb  c_.é\n", k=dice.randint(0, 40)))
        spans = {(m.start(), m.start() + len(w)) for w in words for m in re.finditer(rf"(?<!\w)(?={re.escape(w)}(?!\w))", text)}
        assert {*keywords.spans(text)} == spans and keywords.any(text) == bool(spans)
        apart = keywords.apart(text)
        assert {*apart} <= spans and all(a[1] <= b[0] for a, b in pairwise(apart)) and bool(apart) == bool(spans)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: ToxicWords(lists=()), "lists is empty"),
        (lambda: ToxicWords(lists=(Path("x"),), max_share=2), "max_share is 2"),
        (lambda: ToxicWords(lists=(Path("x"),), max_matches=-1), "max_matches is -1"),
        (lambda: C4BadWords(folder=Path("x"), keep_share=-1), "keep_share is -1"),
        (lambda: C4Paragraph(min_characters=0), "min_characters is 0"),
    ],
)
def test_bad_values(make, wrong):
    with pytest.raises(ValueError, match=wrong):
        make()
