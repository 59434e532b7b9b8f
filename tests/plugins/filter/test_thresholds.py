"""A hand-written text on each side of each threshold of Gopher's, C4's and FineWeb's rules, in both modes; and what a filter measures
agrees with what it decides."""

import pickle
import string
import sysconfig
from pathlib import Path

import pytest
from datatrove.data import Document

from modelwright_plugins.filter.c4 import C4Paragraph, C4Quality
from modelwright_plugins.filter.fineweb import FineWebQuality
from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition


def quality(**rule):
    off = dict.fromkeys(("min_words", "max_words", "min_mean_word_length", "max_mean_word_length", "max_symbol_ratio"), 0)
    off |= dict.fromkeys(("max_bullet_lines", "max_ellipsis_lines", "min_alphabetic_words", "min_stop_words"), 0)
    return GopherQuality, off | rule


def repetition(**rule):
    off = dict.fromkeys(("max_duplicate_lines", "max_duplicate_paragraphs", "max_duplicate_line_characters"), 0)
    return GopherRepetition, off | {"max_duplicate_paragraph_characters": 0, "top_ngrams": (), "duplicate_ngrams": ()} | rule


def fineweb(**rule):
    off = {"min_punctuated_lines": 0, "max_short_lines": 1, "max_duplicate_line_characters": 1, "max_newline_ratio": 9}
    return FineWebQuality, off | rule


def c4(**rule):
    return C4Quality, {"min_sentences": 1} | rule


def top(n, characters):
    """An n-gram that comes twice, 2 (2n - 1) characters, in a text of so many."""
    words = " ".join(string.ascii_lowercase[:n])
    return f"{words} z {words} ".ljust(characters, "x")


def again(n, characters):
    """n characters in an n-gram that came before, without blanks."""
    return top(n, characters)


# component and its fields, a text that stays, one that goes, why
CASES = [
    (quality(min_words=5), "one two three four five", "one two three four . ;", "gopher_short_doc"),
    (quality(max_words=5), "one two three four five .", "one two three four five six", "gopher_long_doc"),
    (quality(min_mean_word_length=3), "ab abcd .", "ab abc .", "gopher_below_avg_threshold"),
    (quality(max_mean_word_length=4), "abcd abcd", "abcd abcde", "gopher_above_avg_threshold"),
    (quality(max_symbol_ratio=0.25), "# a b c", "# a b", "gopher_too_many_hashes"),
    (quality(max_symbol_ratio=0.25), "a b c ...", "a b …", "gopher_too_many_ellipsis"),
    (quality(max_bullet_lines=0.5), "- a\nb - c - d", " - a\n• b", "gopher_too_many_bullets"),
    (quality(max_ellipsis_lines=0.5), "a...\nb... c... d", "a...\nb… ", "gopher_too_many_end_ellipsis"),
    (quality(min_alphabetic_words=0.5), "a 1 b .", "a 1 .", "gopher_below_alpha_threshold"),
    (quality(min_stop_words=2), "the of", "the the", "gopher_enough_stop_words"),
    (repetition(max_duplicate_lines=0.25), "a\na\nb\nc", "a\na\nb", "dup_line_frac"),
    (repetition(max_duplicate_line_characters=0.2), "aaaa\naaaa\n".ljust(20, "b"), "aaaa\naaaa\n".ljust(19, "b"), "dup_line_char_frac"),
    (repetition(max_duplicate_paragraphs=0.25), "a\n\na\n\nb\n\n\nc", "a\n\n\na\n\nb", "dup_para_frac"),
    (
        repetition(max_duplicate_paragraph_characters=0.2),
        "aaaa\n\naaaa\n\n".ljust(20, "b"),
        "aaaa\n\naaaa\n\n".ljust(19, "b"),
        "dup_para_char_frac",
    ),
    *((repetition(top_ngrams=(1.0,) * (n - 2) + (2 * (2 * n - 1) / 100,)), top(n, 100), top(n, 99), f"top_{n}_gram") for n in (2, 3, 4)),
    *(
        (repetition(duplicate_ngrams=(1.0,) * (n - 5) + (n / 100,)), again(n, 100), again(n, 99), f"duplicated_{n}_n_grams")
        for n in range(5, 11)
    ),
    (fineweb(min_punctuated_lines=0.5), "a.\n\nb", "a.\nb\nc", "line_punct_ratio"),
    (fineweb(max_short_lines=0.5, short_line=3), "abc\nabcd", "abc\nabd\nabcd", "short_line_ratio"),
    (fineweb(max_duplicate_line_characters=0.25), "aa\naa\nbbbb", "aa\naa\nbbb", "char_dup_ratio"),
    (fineweb(max_newline_ratio=0.25), "a b\nc d", "a b\nc", "list_ratio"),
    (c4(min_sentences=2), "Here is one. Here is another.", "Here is one, and not another.", "too_few_sentences"),
    (c4(), "Here is one?", "Here is one", "too_few_sentences"),
    (c4(), 'He said "one."', "He said one...", "too_few_sentences"),
    (c4(min_words_per_line=3), "one two three.", "one two.", "too_few_sentences"),
    (c4(max_word_length=6), "one two three.", "one two threes.", "too_few_sentences"),
    (c4(remove_citations=True), "one two three.[12]", "one two three.[x]", "too_few_sentences"),
    (c4(), "He likes lorem and ipsum.", "He likes Lorem ipsum.", "lorem_ipsum"),
    (c4(), "He likes Java script.", "He likes JavaScript.", "too_few_sentences"),
    (c4(), "He likes java [1] script.", "He likes java[1]script.", "too_few_sentences"),
    (c4(), "He likes (brackets).\n{ }", "He likes {brackets}.", "curly_bracket"),
    (c4(), "These are the terms of the use.", "These are the Terms of Use.", "too_few_sentences"),
    ((C4Paragraph, {"min_paragraphs": 2, "min_characters": 3}), "abc\nab\nabcd", "abc\nab\nab", "too_few_paragraphs"),
]


def within(built, document):
    bounds, measured = built.bounds(), built.measure(document)
    assert set(measured) <= set(bounds)
    return all(
        (bounds[name].least is None or value >= bounds[name].least) and (bounds[name].most is None or value <= bounds[name].most)
        for name, value in measured.items()
    )


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[3]}-{next(iter(case[0][1]))}" if isinstance(case, tuple) else str(case))
def test_each_side_of_each_threshold(case, mode):
    (component, fields), stays, goes, reason = case
    built = component(**fields, **({} if component is C4Paragraph else {"mode": mode})).build()
    for text, decision in ((stays, True), (goes, (False, reason))):
        document = Document(text=text, id="x")
        assert within(built, document) == (decision is True)
        assert document.text == text
        assert built.filter(document) == decision


@pytest.fixture(scope="module")
def texts():
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:120]
    code = [file.read_text(encoding="utf-8", errors="replace")[:6000] for file in files]
    prose = [text.partition('"""')[2].partition('"""')[0] for text in code]
    return [text for text in code + prose if text.strip()]


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_what_is_within_its_bounds_stays(texts, mode):
    for component in (GopherQuality, GopherRepetition, C4Quality, FineWebQuality):
        built = pickle.loads(pickle.dumps(component(mode=mode).build()))
        seen = set()
        for text in texts:
            document = Document(text=text, id="x")
            measured = within(built, document)
            assert measured == (built.filter(document) is True), text
            seen.add(measured)
        assert seen == {True, False} or component is GopherQuality  # code has too few words with letters


def test_fields_that_are_off_have_no_bounds():
    component, fields = quality()
    assert component(**fields).build().bounds() == {}
    component, fields = repetition()
    assert component(**fields).build().bounds() == {}
