"""What it promises, and replies counted by hand."""

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.reward.reward import DistinctWords
from modelwright_plugins.reward import Asked


def test_it_holds_what_a_reward_promises():
    assert_conforms("reward/example")


@pytest.mark.parametrize(
    ("reply", "n", "expected"),
    [
        ("the mill and The mill", 1, 3 / 5),  # the, mill, and
        ("the mill and The mill", 2, 3 / 4),  # the mill, mill and, and the
        ("mill", 2, 0.0),
        ("", 1, 0.0),
    ],
)
def test_counted_by_hand(reply, n, expected):
    assert DistinctWords(n=n).scores([Asked(prompt=[], reply=reply)]) == [expected]
