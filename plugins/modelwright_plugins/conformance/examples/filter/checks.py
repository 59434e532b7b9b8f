"""What it promises, and texts whose words are counted by hand."""

import pytest
from datatrove.data import Document

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.filter.filter import DistinctWords


def test_it_holds_what_a_filter_promises():
    assert_conforms("filter/example")


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("a wright makes mills", True),  # 4 of 4
        ("a wright, A WRIGHT,", (False, "few_words")),  # a, wright,
        ("one two three " + "one " * 4, (False, "repeated_words")),  # 3 of 7
        ("one two three " + "one " * 3, True),  # 3 of 6
        ("", (False, "few_words")),
    ],
)
def test_words_counted_by_hand(text, decision):
    assert DistinctWords(min_words=3, min_share=0.5).build().filter(Document(text=text, id="1")) == decision
