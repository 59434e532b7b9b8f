"""Words that are cut chunk by chunk are spaCy's words of the whole text."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.pipeline import Sentencizer

from modelwright_plugins.filter import _chunks, _text
from modelwright_plugins.filter._pieces import find_words
from modelwright_plugins.filter._sentences import ENDS, count_sentences
from modelwright_plugins.filter._words import WORDS
from modelwright_plugins.filter.gopher import GopherQuality

# What spaCy's rules speak of: affixes, infixes, faces, units, currencies, addresses, abbreviations, contractions, and odd blanks.
PARTS = [
    *".,:;()[]{}<>-–—_'\"’‘“”…`*/\\|@#$%^&+=~!?012389abDsSmMxXpPoOKG€°²³µéж中１\u00a6\u3002\u200b\x00\x1c🙂",
    *(" ", " ", " ", "\n", "\t", "  ", "\u00a0", "\u2028", "\x0b", "\x85"),
    *(":)", "):", ":-(", "8)", "<3", "^_^", "(._.)", "and/or", "don't", "cannot", "it’s", "'em", "e.g.", "U.S.", "Inc.", "a.m.", "10am"),
    *("US$", "km²", "°C.", "m/s", "http://", "www.", ".com", "x@y.org", "……", "...", "IS_ALPHA", "word", "Word", "well-known"),
]
nasty = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=2)), max_size=14).map("".join)


def spacys(text):
    return [word for token in WORDS.tokenizer.tokenizer(text) if (word := token.text.strip())]


def ours(text):
    return _words(_text.Text(text))


def _words(text):
    return [text.vocabulary.words[number] for number in text.tokens]


def whole(text):
    """spaCy takes no half of a surrogate pair."""
    return text.encode("utf-8", "ignore").decode()


@settings(max_examples=500, deadline=None)
@given(nasty.map(whole))
def test_words_of_odd_texts(text):
    assert ours(text) == spacys(text)


@settings(max_examples=300, deadline=None)
@given(nasty.map(whole))
def test_sentences_of_odd_lines(line):
    line = " ".join(line.splitlines()).strip()
    assert count_sentences(line, "exact") == max(1, len(list(WORDS.tokenizer(line).sents)))


def test_special_cases_across_a_blank():
    """ ":)" is one word, but not before another bracket: there spaCy thinks of ":))", and leaves it for its blank."""
    assert ours("a:) b") == ["a", ":)", "b"]
    for text in ("a:) )", "a:)\n)", "a:)  )", "x: )) y", "f(x): (y", "a8) :( b:) )))\nc:) d"):
        assert ours(text) == spacys(text)
    assert ours("a:) )") == ["a", ":", ")", ")"]


def test_words_of_code():
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:25]
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")[:15_000]
        assert ours(text) == spacys(text), file


@pytest.mark.slow
def test_words_of_many_chunks():
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    chunks: set[str] = set()
    for file in files[:: max(1, len(files) // 400)]:
        chunks.update(file.read_text(encoding="utf-8", errors="ignore").split())
    cut, spacy = WORDS.cut, WORDS.tokenizer.tokenizer
    assert len(chunks) > 20_000
    assert [c for c in sorted(chunks)[:150_000] if cut(c).words != [token.text for token in spacy(c)]] == []


def test_what_ends_a_sentence_is_spacys():
    assert set(Sentencizer.default_punct_chars) == ENDS


def test_the_simple_words_are_the_whole_text():
    for text in ("Don't e-mail x@y.org (it's well-known) ... 3.5 km/h:\n\tdef f(x='a'):", "".join(PARTS), "শহরটির _a__b_ \\d+|--"):
        assert "".join(find_words(text)) == re.sub(r"\s+", "", text)


@settings(max_examples=500, deadline=None)
@given(nasty)
def test_the_simple_words_of_odd_texts(text):
    assert "".join(find_words(text)) == "".join(text.split())
    for word in find_words("://x y ://z _://" + text):
        assert word and word == word.strip()


def test_tables_stay_small(monkeypatch):
    """And decisions don't depend on what they have forgotten."""
    texts = [" ".join(f"word{number}-{place}" for place in range(60)) + " the of" for number in range(80)]
    built = GopherQuality().build()
    before = [built.filter(Document(text=text, id="x")) for text in texts]
    monkeypatch.setattr(_chunks, "MOST", 100)
    _text._tables.clear()
    assert [built.filter(Document(text=text, id="x")) for text in texts] == before
    table = _text._tables["exact"]
    assert len(table.vocabulary.words) < 400
    assert table.previous is None or table.previous.previous is None


def test_a_chunk_that_comes_again_is_not_cut_again(monkeypatch):
    monkeypatch.setattr(_chunks, "MOST", 20)
    _text._tables.clear()
    often = "e.g. don't a:) well-known"
    assert ours(often) == spacys(often)
    for number in range(10):
        text = f"{often} {number} " + " ".join(f"x{number}y{place}" for place in range(12))
        assert ours(text) == spacys(text)
    _text._tables.clear()


def test_a_worker_that_cuts_words_does_not_import_torch_and_still_can():
    asked = "import sys; from modelwright_plugins.filter._words import WORDS as w; w.count_sentences('a b'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "False\n"
