"""source=arithmetic: additions, their replies, and what share of them is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from modelwright_plugins.source.arithmetic import Arithmetic


def examples(**fields: Any) -> list[dict[str, Any]]:
    source = Arithmetic(**fields)
    return [document.metadata["example"] for file in source.files() for document in source.read(file)]


def test_each_problem_once_with_its_sum() -> None:
    found = examples(problems=100, digits=1)
    asked = [one["replies"][0][0]["content"] for one in found]
    assert len({*asked}) == 100
    for one in found:
        a, b = map(int, one["replies"][0][0]["content"].split("+"))
        assert one["replies"][0][1]["content"] == one["answer"] == str(a + b)


def test_prompts_have_the_answer_and_no_reply() -> None:
    found = examples(problems=1500, holds="prompts")
    assert all(one["kind"] == "prompt" and one["replies"] == [] for one in found)
    assert sum(int(one["answer"]) for one in found) == sum(sum(map(int, one["prompt"][0]["content"].split("+"))) for one in found)


def test_ranges_share_no_problem_and_beyond_all_they_come_again() -> None:
    one, other = (examples(problems=40, digits=1, holds="prompts", first=first) for first in (0, 40))
    assert not {each["prompt"][0]["content"] for each in one} & {each["prompt"][0]["content"] for each in other}
    twice = examples(problems=200, digits=1, style="mixed")
    assert [each["answer"] for each in twice[:100]] == [each["answer"] for each in twice[100:]]
    assert [each["replies"] for each in twice[:100]] != [each["replies"] for each in twice[100:]]  # worded anew


def test_styles_and_carelessness() -> None:
    replies = [one["replies"][0][1]["content"] for one in examples(problems=1000, style="mixed")]
    assert 430 < sum(bool(re.fullmatch(r"The sum is \d+\.", reply)) for reply in replies) < 570
    off = [int(one["replies"][0][1]["content"]) - int(one["answer"]) for one in examples(problems=1000, careless=0.4)]
    assert {*off} == {-1, 0, 1} and 340 < sum(each != 0 for each in off) < 460


@pytest.mark.parametrize(("field", "value"), [("digits", 4), ("problems", 0), ("first", -1), ("careless", 1.5)])
def test_bad_values_are_told(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}; it is"):
        Arithmetic(**{field: value})
