"""Lines that go and lines that stay, HTML cut out."""

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright_plugins.filter._boilerplate import COUNTER, plain
from modelwright_plugins.filter.boilerplate import Boilerplate


def run(component, text):
    document = Document(text=text, id="x", metadata={})
    decision = component.build().filter(document)
    return document.text if decision is True else decision[1:]


BODY = "The mill turns when the wind blows.\n"


@pytest.mark.parametrize(
    ("line", "rules", "goes"),
    [
        ("Sign in", {}, True),
        ("SHARE THIS: ", {}, True),
        ("one two three four five six seven read more today", {}, True),  # ten words
        ("one two three four five six seven eight read more today", {}, False),  # eleven
        ("He would design in wood.", {}, False),  # `sign in`, but not as words
        ("3 likes", {}, True),
        ("1,204 Comments", {}, True),
        ("Page 2 of 9", {}, True),
        ("3 likely stories", {}, False),
        ("3 likes", {"counters": False}, False),
        ("2021-03-04 12:30", {"numeric": True}, True),
        ("2021-03-04 12:30", {}, False),
        ("in 2021", {"numeric": True}, False),
        ("---", {"numeric": True}, False),
        ("BREAKING news", {"capitals": True}, True),
        ("BREAKINg news", {"capitals": True}, True),  # 7 of 12
        ("BREAKing", {"capitals": True}, True),
        ("BREaking", {"capitals": True}, False),
        ("ABcd", {"capitals": True}, False),  # half is not most
        ("Home", {"single_words": True}, True),
        ("Home again", {"single_words": True}, False),
        ("", {"single_words": True}, False),
    ],
)
def test_a_line(line, rules, goes):
    assert run(Boilerplate(**rules), f"{BODY}{line}\n{BODY}") == (BODY + BODY if goes else f"{BODY}{line}\n{BODY}")


def test_too_much_of_it():
    text = "w " * 18 + "\nSign in"  # 2 of 20 words
    assert run(Boilerplate(max_removed=0.1), text) == "w " * 18
    assert run(Boilerplate(max_removed=0.09), text) == ("mostly_boilerplate",)
    assert run(Boilerplate(), "Sign in\n3 likes") == ("nothing_left",)
    assert run(Boilerplate(), "\n \n") == "\n \n"


def test_phrases_from_a_file(tmp_path):
    (tmp_path / "more").write_text("print this page\n続きを読む\n")
    built = Boilerplate(phrases=(), lists=(tmp_path / "more",))
    assert run(built, "Print this page!\nSign in\nここで続きを読む。") == "Sign in"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('<p class="x">Hello<br/> <b>world</b></p>', "Hello world"),
        ("a<script type='x'>if (a < b) {}</script>b<!-- no --><style>p {}</style>c", "abc"),
        ("Tom &amp; Jerry&nbsp;&lt;b&gt; &#39;x&#39; &unknown; &x", "Tom & Jerry\xa0<b> 'x' &unknown; &x"),
        ("List<String> a; if (a < b && c > d) #include <stdio.h>", "List<String> a; if (a < b && c > d) #include <stdio.h>"),
        ("<a href=x onclick=\"f('y')\" data-z>go</a>", "go"),
        ("i<b and c>d; <button disabled>x", "i<b and c>d; x"),
        ("<script>never closed", "never closed"),
        ("<!-- never closed", "<!-- never closed"),
    ],
)
def test_html(text, left):
    assert plain(text) == left
    if text != left:
        assert run(Boilerplate(html="keep", phrases=("zzz",)), text) == text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["Sign in", "3 likes", BODY.strip(), "", "  x", "<b>y</b>", "READ MORE"]), max_size=9))
def test_what_is_cleaned_stays_clean_and_lines_keep_their_order(lines):
    built = Boilerplate()
    once = run(built, "\n".join(lines))
    if isinstance(once, str):
        assert run(built, once) == once
        left = iter([plain(line) for line in lines])
        assert all(line in left for line in once.split("\n") if line)


def test_time_is_linear_in_what_is_never_closed():
    import time

    for piece in ("<!--", "<script ", '<a b="', "<p  ", "<script>", "&"):
        spent = time.process_time()
        plain(piece * 100_000)
        assert time.process_time() - spent < 5, piece


def test_bad_values():
    with pytest.raises(ValueError, match="max_words is 0"):
        Boilerplate(max_words=0)
    with pytest.raises(ValueError, match="max_removed is 2"):
        Boilerplate(max_removed=2)
    with pytest.raises(ValueError, match="every line would go"):
        Boilerplate(phrases=(" ",))


def test_a_number_before_many_blanks_takes_no_longer_than_they_are_many() -> None:
    padded = "1" + " " * 100_000 + "word"
    assert COUNTER.fullmatch(padded) is None  # with one more way to share the blanks out it is minutes
    assert COUNTER.fullmatch("1" + " " * 1000 + "k" + " " * 1000 + "likes")
