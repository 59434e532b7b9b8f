"""Length, words and forms, worked by hand; the weighted sum of several."""

from __future__ import annotations

import time

import pytest

from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.contains import Contains
from modelwright_plugins.reward.length import Length
from modelwright_plugins.reward.regex import Regex
from modelwright_plugins.reward.weighted import checked, weighted


def one(reward, reply: str = "", **about):
    (found,) = reward.scores([Asked(prompt=[], reply=reply, **about)])
    return found


def dapo(length: int, longest: int, cushion: int) -> float:
    """Yu et al. 2025, eq. 13, as it is printed."""
    if length <= longest - cushion:
        return 0
    return ((longest - cushion) - length) / cushion if length <= longest else -1


def test_length_is_dapos_punishment():
    reward = Length(most=12, cushion=4)
    for length in range(30):
        assert one(reward, tokens=range(5 + length), begin=5) == dapo(length, 16, 4)


def test_length():
    assert [one(Length(unit="words", least=2, most=3), "a " * n) for n in range(6)] == [-1, -1, 0, 0, -1, -1]
    assert one(Length(unit="characters", least=10, cushion=5, punishment=3), "1234567") == pytest.approx(-3 * 3 / 5)
    assert one(Length(per_unit=-0.1, unfinished=-1), tokens=range(7), begin=2, finished=False) == pytest.approx(-1.5)
    for wrong in ({"least": -1}, {"most": 1, "least": 2}, {"cushion": -1}, {"punishment": -1.0}, {"per_unit": float("nan")}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            Length(**wrong)


def test_contains():
    reward = Contains(words=("mill", "good day"), mode="share")
    assert one(reward, "The MILL, the mills. Good\n day!") == 1
    assert one(reward, "milling") == 0
    assert one(Contains(words=("mill",), whole_words=False), "milling") == 1
    assert one(Contains(words=("Mill",), ignore_case=False), "mill") == 0
    assert one(Contains(words=("a", "b"), mode="any"), "b") == 1 and one(Contains(words=("a", "b")), "b") == 0
    assert one(Contains(words=(), avoid=("sorry", "c++"), penalty=0.5), "Sorry, sorry: C++.") == -1
    assert one(Contains(words=(), answer=True), "It is 72.", answer=" 72 ") == 1
    with pytest.raises(ValueError, match="its answer is missing"):
        one(Contains(words=(), answer=True), "x")
    with pytest.raises(ValueError, match="all empty"):
        Contains(words=())
    with pytest.raises(ValueError, match="nothing to look for"):
        Contains(words=("",))


def test_regex():
    think = Regex(pattern=r"(?s)<think>.+</think>\s*<answer>.+</answer>", right=2, wrong=-1)
    assert one(think, "\n<think>a\nb</think>\n<answer>c</answer> ") == 2
    assert one(think, "<think>a</think><answer>c</answer> and more") == -1
    assert one(Regex(pattern="c", mode="found"), "abc") == 1
    with pytest.raises(ValueError, match="it is no regular expression"):
        Regex(pattern="(")
    with pytest.raises(ValueError, match="seconds is 0"):
        Regex(pattern="a", seconds=0)


def test_a_reply_that_an_expression_can_not_be_done_with():
    began = time.monotonic()
    with pytest.warns(UserWarning, match=r"took more than 0\.2 s on a reply of 60 characters; it counts as no match"):
        assert one(Regex(pattern=r"(?:(x|xx)+)+\1!", wrong=-1, seconds=0.2, mode="found"), "x" * 60) == -1
    assert time.monotonic() - began < 5


def test_the_weighted_sum():
    asked = [Asked(prompt=[], reply="abcd"), Asked(prompt=[], reply="ab")]
    rewards = {"a": Contains(words=("a",), weight=2), "b": Length(weight=-0.5)}
    assert weighted(rewards, asked, {"a": [1, 0], "b": [3, 4]}) == [0.5, -2]
    assert weighted(rewards, asked, {"a": [[(1, 1.0), (3, 2.0)], 1.0], "b": [3, 4]}) == [[(1, 2.0), (3, 4.0), (4, -1.5)], 0]
    assert weighted(rewards, asked[:1], {"a": [[(2, 1.0), (4, 1.0)]], "b": [[(2, 1.0)]]}) == [[(2, 1.5), (4, 2.0)]]
    assert weighted({}, asked, {}) == [0, 0]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1.0], "gave 1 scores to 2 replies"),
        ([1.0, float("nan")], "gave nan to reply 1, 'ab'"),
        ([[(1, float("inf"))], 0.0], "gave"),
        ([[(3, 1.0), (2, 1.0)], 0.0], r"end at \[3, 2\]"),
        ([[(5, 1.0)], 0.0], r"end at \[5\]"),
    ],
)
def test_scores_that_are_none_are_told(found, said):
    asked = [Asked(prompt=[], reply="abcd"), Asked(prompt=[], reply="ab")]
    with pytest.raises(ValueError, match=f"^reward x .*{said}"):
        checked("x", asked, found)
    assert checked("x", asked, [1, [(0, 1.0), (2, 2.0)]]) == [1, [(0, 1.0), (2, 2.0)]]
