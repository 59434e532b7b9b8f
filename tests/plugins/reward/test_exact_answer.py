"""Answers found and compared: GSM8K's own, and cases worked by hand."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.exact_answer import ExactAnswer
from modelwright_plugins.reward.final_answer import boxed, numbers, plain, value

GSM8K = Path("/work/shared/data/gsm8k/train.jsonl")


def score(reply: str, answer: str | None, **fields) -> float:
    (found,) = ExactAnswer(right=1.0, wrong=-1.0, missing=-2.0, **fields).scores([Asked(prompt=[], reply=reply, answer=answer)])
    return found


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not on this machine")
def test_every_answer_of_gsm8k():
    """Against lm-evaluation-harness's strict filter: `#### (\\-?[0-9\\.\\,]+)`, commas taken out."""
    examples = [json.loads(line)["answer"] for line in GSM8K.read_text().splitlines()]
    assert len(examples) == 7473
    for answer in examples:
        number = Decimal(re.findall(r"#### (\-?[0-9\.\,]+)", answer)[0].replace(",", ""))
        assert value(answer.rpartition("####")[2]) == Fraction(number)
        assert score(answer, answer) == 1 and score(answer, str(number)) == 1 and score(answer, answer, find="last_number") == 1
        assert score(f"So it is ${number:,.2f}.", answer) == 1 and score(rf"It is \boxed{{{number}}} now, of 5", answer) == 1
        assert score(f"#### {number + 1}", answer) == -1 and score(f"{number} and then {number + 1}", answer) == -1
        assert score("I don't know.", answer) == -2 and score(f"{number}", answer, find="hashes") == -2


@pytest.mark.parametrize(
    ("reply", "answer", "expected"),
    [
        ("#### 72 clips", "72", 1),
        ("#### 72 or 73", "72", -1),
        ("#### 71\nNo, wait:\n#### 72\nDone, in 2 steps", "72", 1),
        ("#### 72\n#### 71", "72", -1),
        (r"\boxed{\frac{1}{2}}", "0.5", 1),
        (r"\boxed{\text{Yes}}", "yes", 1),
        (r"\boxed{1} \boxed{x^{2}}", "x^{2}", 1),
        (r"\boxed{x^{2}", "x^{2}", -1),
        ("Paris.", "paris", 1),
        ("It is Paris", "paris", -1),
        ("The price is $1,080.00.", "1080", 1),
        ("1,08", "108", -1),
        ("minus: -3", "-3", 1),
        ("10-3", "-3", -1),
        ("10-3", "3", 1),
        ("−3", "-3", 1),
        ("50%", "50", 1),
        ("2e3", "2000", 1),
        ("1/0", "1", -1),
        ("1e999", "1", -1),
        ("9" * 5000, "9", -1),
        ("", "9", -2),
        ("####", "9", -2),
        ("nan", "9", -2),
        ("nan", "nan", 1),  # as texts
        ("٣", "3", 1),
        (r"\boxed{1\frac{1}{2}}", "11/2", -1),
        (r"\boxed{1\frac{1}{2}}", r"\frac{3}{2}", 1),
        (r"\boxed{-1 \frac12}", "-1.5", 1),
        (r"\boxed{1 1/2}", "1.5", 1),
        (r"\boxed{\frac{1}{2}3}", "1/23", -1),
        (r"\boxed{\frac12}", r"\frac{1}{2}", 1),
        (r"\boxed{\dfrac1{20}}", "0.05", 1),
        (r"\boxed{\frac{x+1}{2}}", r"x+\frac{1}{2}", -1),
        (r"\boxed{\frac{1}{2x}}", r"\frac{1}{2}x", -1),
        (r"\boxed{\frac{\pi}{2}}", r"\pi/2", 1),
        (r"\boxed{72 73}", "7273", -1),
        (r"\boxed{72\ 73}", "7273", -1),
        (r"\boxed{72, 730}", "72730", -1),
        ("#### 7 2", "72", -1),
        ("#### 7 273", "7273", 1),
        (r"\boxed{10\,000}", "10000", 1),
        (r"\boxed{10{,}000}", "10000", 1),
        ("so x is .5", "0.5", 1),
        ("so x is -.5.", "-0.5", 1),
        (r"\boxed{10^{5}}", "100000", 1),
        (r"\boxed{-2 \times 10^{-3}}", "-0.002", 1),
        (r"\boxed{0^{-1}}", "0", -1),
        (r"\boxed{90^\circ}", "90", 1),
        (r"\boxed{5\pi}", "5", -1),
        (r"\boxed{x+5}", "5", -1),
        (r"\boxed{x = 5}", "5", 1),
        (r"\boxed{(1,\;2)}", "(1,2)", 1),
    ],
)
def test_by_hand(reply, answer, expected):
    assert score(reply, answer) == expected


def test_the_whole_reply():
    assert score(" 72\n", "72.0", find="whole") == 1
    assert score("It is 72", "72", find="whole") == -1


def test_numbers_in_a_text():
    assert value("1e999999999") is None and value("9" * 5000) is None and value("1e-3") == Fraction(1, 1000)
    assert numbers("1,2,3 and x2, (4)-5, 6.5. 7.8.9 1/2 12km -3 2,000,000.5") == [
        *("1", "2", "3", "4", "5", "6.5", "7.8", "1/2", "12", "-3", "2,000,000.5")
    ]
    assert boxed(r"\boxed{a\}b}") == r"a\}b"
    assert plain(r"\left( \$1{,}0 \right).") == "( 1,0 )"


def test_no_reply_takes_long():
    began = time.monotonic()
    for reply in ("1," * 50000, "\\boxed{" * 5000, "#" * 50000, "1/" * 50000, "-" * 50000, "{" * 9999, r"\frac{" * 5000, "1e" * 50000):
        score(reply, "1")
        score(reply, reply[:50] + "a")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("answer", [None, "", "  ", "$"])
def test_an_example_without_an_answer(answer):
    with pytest.raises(ValueError, match=r"^reward exact_answer: the example of .*: its answer is .*, with nothing to compare with$"):
        score("1", answer)


def test_parameters():
    with pytest.raises(ValueError, match="right is nan"):
        ExactAnswer(right=float("nan"))
    with pytest.raises(ValueError, match="weight is inf"):
        ExactAnswer(weight=float("inf"))
