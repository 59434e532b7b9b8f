"""What it promises, and texts that are compared by eye."""

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.deduper.deduper import SameLetters


def test_it_holds_what_a_deduper_promises():
    assert_conforms("deduper/example")


@pytest.mark.parametrize(("keep_case", "expected"), [(False, [0, 0, 2, 0, 4]), (True, [0, 0, 2, 3, 4])])
def test_the_first_of_each_stays(keep_case, expected):
    deduper = SameLetters(keep_case=keep_case)
    texts = ["The mill turns.", "The  mill -- turns!", "The mill turned.", "THE MILL TURNS", ""]
    assert deduper.first(deduper.sign(texts)).tolist() == expected
