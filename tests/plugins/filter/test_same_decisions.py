"""Our filters decide as datatrove's own, with its own words and sentences, on real text; in mode fast nearly always."""

import re
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline import filters as stock
from datatrove.utils.word_tokenizers import SpaCyTokenizer

from modelwright_plugins.filter._words import WORDS
from modelwright_plugins.filter.c4 import C4Quality
from modelwright_plugins.filter.fineweb import FineWebQuality
from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition
from modelwright_plugins.source.python_library import PythonLibrary

PROSE = """The cat sat on the mat and looked at the dog. It was not the first time that they had met [1].
"Have you seen the bird?" asked the cat with a smile. The dog said nothing to that question.
Terms of use apply to every reader of this page. The dog went home to be with the others...
He learned JavaScript there. A day later the cat came back to the mat and sat down. It was happy!
Nobody knows what became of the bird. [citation needed] Perhaps it flew away over the hills and the sea.

"""
ODD = [
    "",
    "   \n \n",
    "word",
    PROSE,
    PROSE * 12,
    PROSE + "{ brace }. Ends here.",
    PROSE + "A brace { is in this line.",
    PROSE + "We say Lorem ipsum dolor sit amet.",
    "Only one line here. It has two sentences! And a third? Yes. Five.",
    "One here it is.\nTwo words are here.\nThree we have here.\nFour there are now.\n",
    "- bullet one\n- bullet two\n" * 40,
    "a line that ends so...\n" * 30 + PROSE,
    "# # # #\n" * 100 + PROSE,
    "1 2 3 4 5 6 7 8 9 10 " * 60,
    "Ünïcödé wörds — “quoted” … and emoji 🙂 with the rest of it.\u2028A new line. \x0b Page.\x0c More text here.\n" * 9,
    "x" * 5000 + " " + PROSE,
]


@pytest.fixture(scope="module")
def texts():
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    names = ("argparse", "this", "keyword", "stat", "textwrap", "token", "opcode", "types", "queue", "encodings/cp1252", "encodings/ascii")
    code = [(stdlib / f"{name}.py").read_text(encoding="utf-8") for name in names]
    library = PythonLibrary(max_bytes=10**12)
    readmes = [file for file in library.files() if file.path.name == "METADATA" and file.bytes > 4000][:12]
    prose = [document.text for file in readmes for document in library.read(file)]
    assert len(prose) > 5
    return ODD + code + [text[:20_000] for text in code] + prose


PAIRS = [
    (GopherQuality(), stock.GopherQualityFilter()),
    (
        GopherQuality(min_words=30, max_mean_word_length=12.0, min_alphabetic_words=0.35, min_stop_words=1),
        stock.GopherQualityFilter(min_doc_words=30, max_avg_word_length=12, max_non_alpha_words_ratio=0.35, min_stop_words=1),
    ),
    (GopherRepetition(), stock.GopherRepetitionFilter()),
    (
        GopherRepetition(max_duplicate_lines=0.4, top_ngrams=(0.3,), duplicate_ngrams=(0.3, 0.2)),
        stock.GopherRepetitionFilter(dup_line_frac=0.4, top_n_grams=((2, 0.3),), dup_n_grams=((5, 0.3), (6, 0.2))),
    ),
    (C4Quality(), stock.C4QualityFilter()),
    (C4Quality(require_terminal_punctuation=False), stock.C4QualityFilter(filter_no_terminal_punct=False)),
    (C4Quality(min_sentences=0, min_words_per_line=0), stock.C4QualityFilter(min_num_sentences=-1, min_words_per_line=-1)),
    (C4Quality(min_sentences=9), stock.C4QualityFilter(min_num_sentences=9)),
    (FineWebQuality(), stock.FineWebQualityFilter()),
    (
        FineWebQuality(min_punctuated_lines=0.01, max_duplicate_line_characters=0.3),
        stock.FineWebQualityFilter(line_punct_thr=0.01, char_duplicates_ratio=0.3),
    ),
]


def outcome(filter_, text):
    document = Document(text=text, id="x", metadata={})
    try:
        decision = filter_.filter(document)
    except ZeroDivisionError:
        return "divides by zero", text
    return decision, document.text if decision is True else text


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda part: type(part).__name__)
def test_decisions_reasons_and_edits_are_the_same(texts, ours, theirs):
    built = ours.build()
    found = [outcome(built, text) for text in texts]
    assert found == [outcome(theirs, text) for text in texts]
    decisions = {str(decision) for decision, _ in found}
    assert "True" in decisions and len(decisions) > 1  # a test that everything passes, or nothing does, would show little


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda part: type(part).__name__)
def test_fast_decides_nearly_always_the_same(texts, ours, theirs):
    fast, exact = replace(ours, mode="fast").build(), ours.build()
    same = [(outcome(fast, text)[0] is True) == (outcome(exact, text)[0] is True) for text in texts]
    assert sum(same) >= 0.94 * len(same)  # of a few dozen, half of them odd; see below for many


WIKITEXT = Path("/work/shared/data/wikitext-2/valid.txt")


def many():
    """Thousands of real documents: modules and what pages say of packages, their beginnings, as long as a web page; articles."""
    library = PythonLibrary(max_bytes=10**12)
    files = [file for file in library.files() if 300 < file.bytes < 200_000]
    prose = [file for file in files if file.path.suffix != ".py"]
    code = [file for file in files if file.path.suffix == ".py"]
    chosen = prose[:: max(1, len(prose) // 900)] + code[:: max(1, len(code) // 1100)]
    texts = [(file.path.suffix == ".py", file.path.read_text(encoding="utf-8", errors="ignore")) for file in chosen]
    found = [(code, (text if code else text.partition("\n\n")[2])[:2500]) for code, text in texts]
    if WIKITEXT.is_file():
        found += [(False, text[:4000]) for text in re.split(r"\n (?== [^=]+ = \n)", WIKITEXT.read_text(encoding="utf-8"))]
    return found


@pytest.mark.slow
def test_decisions_on_thousands_of_documents():
    kinds, found = zip(*many(), strict=True)
    assert len(found) > 1500
    stocks = (stock.GopherQualityFilter(), stock.GopherRepetitionFilter(), stock.C4QualityFilter(), stock.FineWebQualityFilter())
    theirs = [[outcome(filter_, text) for filter_ in stocks] for text in found]
    components = (GopherQuality, GopherRepetition, C4Quality, FineWebQuality)
    exact = [component().build() for component in components]
    assert [[outcome(filter_, text) for filter_ in exact] for text in found] == theirs
    fast = [component(mode="fast").build() for component in components]
    for code in (True, False):
        for number, filter_ in enumerate(fast):
            pairs = [
                (outcome(filter_, text)[0], row[number][0]) for kind, text, row in zip(kinds, found, theirs, strict=True) if kind == code
            ]
            same = sum((one is True) == (other is True) for one, other in pairs)
            assert same >= 0.96 * len(pairs), (code, components[number].__name__, same, len(pairs))


def test_words_are_the_same(texts):
    own = SpaCyTokenizer("en")
    for text in texts:
        assert WORDS.word_tokenize(text) == own.word_tokenize(text)


def test_a_word_that_spacy_takes_for_a_symbol_stays():
    """Within spaCy's memory zones, where datatrove uses it, the second text of this kind fails and loses the word."""
    for _ in range(3):
        assert WORDS.word_tokenize("IS_ALPHA and IS_ALPHA.") == ["IS_ALPHA", "and", "IS_ALPHA", "."]
