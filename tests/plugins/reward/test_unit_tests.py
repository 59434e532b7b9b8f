"""Programs in replies: found, run on the example's tests, and scored."""

from __future__ import annotations

import pytest

from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.unit_tests import UnitTests, program
from modelwright_plugins.sandbox import NoSandbox, wrapping

REPLY = "First:\n```python\ndef f(x): return 0\n```\nBetter:\n```\ndef f(x): return x\n```\n```text\nf(1) is 1\n```\n"


def test_which_block():
    assert program(REPLY, "last") == "def f(x): return x\n"
    assert program(REPLY, "first") == "def f(x): return 0\n"
    assert program(REPLY, "all") == "def f(x): return 0\n\ndef f(x): return x\n"
    assert program("```py\nx = 1\n", "last") == "x = 1\n"
    assert program("x = 1", "last") == "x = 1"
    assert program("```text\nx\n```", "last") == ""
    assert program("```python\nx = '```'\n```", "last") == "x = '```'\n"


def test_scores():
    try:
        wrapping()
    except NoSandbox as error:
        pytest.skip(str(error))
    tests = "assert f(0) == 0\nassert f(1) == 1"
    asked = [Asked(prompt=[], reply=reply, answer=tests) for reply in (REPLY, "def f(x): return 0", "", "```python\n```", "exit()")]
    assert UnitTests(seconds=30, no_program=-1).scores(asked) == [1, 0, -1, -1, 0]
    assert UnitTests(seconds=30, mode="share", block="first").scores(asked[:2]) == [0.5, 0.5]
    assert UnitTests().scores([]) == []


def test_what_is_wrong_is_told():
    for answer in (None, "", "assert ("):
        with pytest.raises(ValueError, match=r"^reward unit_tests: the example of .* has no tests: "):
            UnitTests().scores([Asked(prompt=[], reply="x", answer=answer)])
    for wrong in ({"seconds": 0}, {"memory_mb": 1}, {"at_once": 0}, {"no_program": float("nan")}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            UnitTests(**wrong)
