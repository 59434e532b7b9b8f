"""The filters on real kinds of text, on what looks like mathematics and is none, and on hostile text."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import pytest
from datatrove.data import Document
from modelwright_math_text.evidence import damage, evidence
from modelwright_math_text.filters import MathText, WholeLatex

from modelwright.testing import assert_conforms

DATA = Path("/work/shared/data")

FORUM = r"""Let $f:\mathbb{R}\to\mathbb{R}$ be continuous with $f(x+y)=f(x)+f(y)$. Show that $f(x)=cx$.
By induction $f(nx)=nf(x)$, hence $f(\frac{p}{q})=\frac{p}{q}f(1)$, and continuity does the rest."""
TEXTBOOK = r"""The spectral theorem. A symmetric matrix has an orthonormal basis of eigenvectors:
\begin{align*} A &= Q \Lambda Q^T \\ Q^T Q &= I \end{align*}
so that \[ \|A\|_2 = \max_i |\lambda_i|. \]"""
PLAIN_PROOF = """Theorem. There are infinitely many primes. Proof. Suppose p₁, …, pₙ are all. The integer N = p₁⋯pₙ + 1 ≡ 1 (mod pᵢ)
for all i, so no pᵢ divides N, but N ≥ 2 has a prime factor. Contradiction. ∎
Corollary: ∑ 1/p over primes p ≤ x → ∞, a theorem of Euler."""
SCHOOL = (
    """Natalia sold 48/2 = 24 clips in May. Natalia sold 48+24 = 72 clips altogether in April and May. She earned 72 * 0.5 = 36 dollars."""
)
MATHML = """The roots of the quadratic equation: <math xmlns='http://www.w3.org/1998/Math/MathML'><mi>x</mi></math>,
where a ≠ 0 and Δ = b² − 4ac ≥ 0."""
SHOP = """Was $49.99, now from $19-$25! Save $5 and $10 on orders over $100 = free shipping.
Call 555-0199, open 9-17, 24/7 support since 12/05/2020."""
SHELL = r"export PATH=$HOME/bin:$PATH; echo \new \table C:\Users\temp; for i in $x; do printf '%s\n' $i; done"
GREEK = "Εν αρχή ήν ο λόγος, και ο λόγος ήν προς τον θεόν, και θεός ήν ο λόγος."
NEWS = """The council met on Tuesday to discuss the proof of residence that voters need. A radius of two miles round the hall was proposed.
Nothing was decided, and the members will meet again in a fortnight, when the library's new opening hours are on the agenda too."""


def decision(component: MathText | WholeLatex, text: str) -> str:
    """The reason why it goes, or nothing."""
    found = component.build().filter(Document(text=text, id="1"))
    return "" if found is True else found[1]


@pytest.mark.parametrize(
    "text", [FORUM, TEXTBOOK, PLAIN_PROOF, SCHOOL, MATHML], ids=["forum", "textbook", "plain proof", "school", "MathML"]
)
def test_mathematics_stays(text: str) -> None:
    assert decision(MathText(), text) == ""


@pytest.mark.parametrize("text", [SHOP, SHELL, GREEK, NEWS, ""], ids=["shop", "shell", "Greek", "news", "empty"])
def test_what_looks_like_mathematics_goes(text: str) -> None:
    assert decision(MathText(), text) in ("no_math", "too_little_math_without_latex")


def test_the_bar_is_higher_without_latex() -> None:
    """The same share of the characters, once in a formula and once in calculations."""
    prose = "word " * 600
    with_latex, without = (
        prose + r"$\int_0^1 f(x)\,dx = \frac{1}{2} + \sum_{k=1}^n a_k b_k$",
        prose + "12 + 34 = 46, 5 * 6 = 30, 7 * 8 = 56, 10 * 10 = 100",
    )
    assert evidence(with_latex).latex and not evidence(without).latex
    assert 0.01 < evidence(without).share < 0.03 and 0.01 < evidence(with_latex).share < 0.03
    assert decision(MathText(), with_latex) == ""
    assert decision(MathText(), without) == "too_little_math_without_latex"
    assert decision(MathText(min_share_with_latex=0.1), with_latex) == "too_little_math_with_latex"


@pytest.mark.parametrize(
    ("text", "finds", "share"),
    [
        ("$a+b$", 1, 1.0),
        ("see $a+b$ now", 1, 5 / 11),
        (r"\alpha!", 1, 6 / 7),
        (r"\alphabet", 0, 0.0),
        ("5 + 3 = 8", 1, 1.0),
        (r"\begin{align} x & y \end{align}", 1, 1.0),  # blanks count neither here nor there
        (r"\begin{itemize} x \end{itemize}", 0, 0.0),
    ],
)
def test_shares_worked_by_hand(text: str, finds: int, share: float) -> None:
    found = evidence(text)
    assert found.finds == finds and found.share == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "damaged", "total"),
    [
        (r"\begin{align} a \end{align} $x_1$ \[ y \]", 0, 3),
        (r"\begin{align} a \begin{cases} b \end{align}", 3, 3),  # cases is not closed, so align's end closes nothing
        (r"\end{align} and $\frac{1{2}$", 2, 2),
        (r"$$ a = b $$ and $$ c", 1, 2),
        (r"\[ x \[ y \]", 1, 2),
        (r"a matrix \\[2pt] row and $\{1,2\}$", 0, 1),  # a space between rows is no display, and these braces are signs
    ],
)
def test_damage_worked_by_hand(text: str, damaged: int, total: int) -> None:
    assert damage(text) == (damaged, total)
    assert decision(WholeLatex(max_damaged=0), text) == ("damaged_latex" if damaged else "")


def test_text_without_latex_is_whole() -> None:
    assert decision(WholeLatex(max_damaged=0), NEWS) == ""


@pytest.mark.parametrize("hostile", ["$", "$a", r"\begin{equation}", r"\[", r"\(", "1", "1 + ", "(1", "{", "∑", " ", "$$", "\\"], ids=repr)
def test_time_grows_with_the_length_only(hostile: str) -> None:
    """A hundred thousand characters within seconds; a pattern that tries all pairs would take minutes."""
    text = hostile * (100_000 // len(hostile))
    began = time.perf_counter()
    evidence(text)
    damage(text)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("component", [MathText(), WholeLatex()], ids=repr)
def test_filters_are_picklable_and_keep_the_text(component: MathText | WholeLatex) -> None:
    built = pickle.loads(pickle.dumps(component.build()))
    document = Document(text=FORUM, id="1")
    assert built.filter(document) == component.build().filter(Document(text=FORUM, id="1"))
    assert document.text == FORUM


@pytest.mark.parametrize("name", ["math_text", "whole_latex"])
def test_they_conform(name: str) -> None:
    assert_conforms(f"filter/{name}")


@pytest.mark.parametrize("wrong", [{"min_share_without": 2.0}, {"min_share_with_latex": -0.1}, {"min_finds": 0}], ids=str)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MathText(**wrong)


@pytest.mark.skipif(not DATA.is_dir(), reason="the texts are not on this machine")
def test_school_problems_stay_and_web_pages_go() -> None:
    problems = [json.loads(line) for line in (DATA / "gsm8k" / "train.jsonl").read_text().splitlines()[:500]]
    pages = [json.loads(line) for line in (DATA / "llamafactory-demo" / "c4_demo.jsonl").read_text().splitlines()]
    paragraphs = [line for line in (DATA / "wikitext-2" / "valid.txt").read_text().splitlines() if len(line) > 200]
    kept = {
        "problems": [decision(MathText(), f"{one['question']}\n{one['answer']}") == "" for one in problems],
        "pages": [decision(MathText(), one["text"]) == "" for one in pages],
        "paragraphs": [decision(MathText(), line) == "" for line in paragraphs],
    }
    shares = {name: sum(found) / len(found) for name, found in kept.items()}
    assert shares["problems"] > 0.85 and shares["pages"] < 0.01 and shares["paragraphs"] < 0.01, shares
