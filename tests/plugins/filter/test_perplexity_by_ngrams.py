"""ARPA models as KenLM and a dictionary look them up; Kneser-Ney as its formula, written the slow way, gives it; bounds and percentiles."""

import gzip
import json
import pickle
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import numpy as np
import pytest
from datatrove.data import Document

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter._arpa import read, write
from modelwright_plugins.filter._kneser_ney import estimate
from modelwright_plugins.filter._perplexity import perplexity, sentences
from modelwright_plugins.filter.perplexity import Perplexity

WIKITEXT = Path("/work/shared/data/wikitext-2/valid.txt")
ARPA = """made by hand
\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-2.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.4\ta\t-0.3
-0.6\tb\t-0.2

\\2-grams:
-0.25\t<s> a\t-0.125
-0.5\ta b\t-0.0625
-0.75 b </s>

\\3-grams:
-0.1 <s> a b

\\end\\
"""


@pytest.fixture
def arpa(tmp_path):
    (tmp_path / "x.arpa").write_text(ARPA)
    return tmp_path / "x.arpa"


@pytest.mark.parametrize(
    ("line", "log10"),
    [
        ("a b", -0.25 - 0.1 - 0.0625 - 0.75),  # <s> a; <s> a b; no `a b </s>`: back-off of `a b`, `b </s>`
        ("b", (-0.5 - 0.6) - 0.75),  # no `<s> b`: back-off of <s>
        ("b b", (-0.5 - 0.6) + (-0.2 - 0.6) - 0.75),
        ("x a", (-0.5 - 2.0) + -0.4 + (-0.3 - 0.7)),  # <unk> has no back-off weight
        ("a a b", -0.25 + (-0.125 - 0.3 - 0.4) - 0.5 + (-0.0625 - 0.75)),
    ],
)
def test_backing_off_by_hand(arpa, line, log10):
    assert read(arpa).log10([line.split()]) == pytest.approx(log10, abs=1e-12)


def test_lines_are_sentences_and_files_may_be_packed(arpa):
    model = read(arpa)
    with gzip.open(arpa.with_suffix(".gz"), "wt") as out:
        out.write(ARPA)
    for again in (read(arpa.with_suffix(".gz")), pickle.loads(pickle.dumps(model))):
        assert again.log10([["a", "b"], ["b"]]) == model.log10([["a", "b"]]) + model.log10([["b"]])
    assert perplexity(model, [["a", "b"], ["b"]]) == pytest.approx(10 ** (-(-1.1625 - 1.85) / 5))
    assert sentences("It's 19 a_b.\n\n X", True) == [["it", "'", "s", "00", "a", "_", "b", "."], ["x"]]
    assert sentences("It's 19\n", False) == [["It's", "19"]]


@pytest.mark.parametrize(
    ("edit", "wrong"),
    [
        (("-0.1 <s> a b", "-0.1 <s> b b"), "the 3-gram '<s> b b' is there, and what it begins with is not"),
        (("-0.5\ta b", "-0.5\ta c"), "a 2-gram has the word 'c'"),
        (("-0.4\ta\t-0.3", "-0.4\ta\tx y"), "line 11: .* is no 1-gram"),
        (("\\end\\", ""), "ends before"),
    ],
)
def test_damaged_files(arpa, edit, wrong):
    arpa.write_text(ARPA.replace(*edit))
    with pytest.raises(ValueError, match=wrong):
        read(arpa)


def slow_kneser_ney(lines, order, known):
    """p(word, context) by the formula with dictionaries: Chen & Goodman 1999, equations 9 to 11, in float64."""
    counts = [Counter() for _ in range(order + 1)]
    for line in lines:
        words = ["<s>", *(w if w in known else "<unk>" for w in line), "</s>"]
        for n in range(1, order + 1):
            counts[n].update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    weights = [None] * (order + 1)
    for n in range(1, order + 1):
        if n == order:
            weights[n] = dict(counts[n])
        else:
            left = defaultdict(set)
            for gram in counts[n + 1]:
                left[gram[1:]].add(gram[0])
            weights[n] = {g: len(left[g]) if g[0] != "<s>" else c for g, c in counts[n].items()}
    weights[1].pop(("<s>",))
    vocabulary = {"<unk>", "</s>", *known}

    def discount(n, c):
        of = Counter(weights[n].values())
        if not (of[1] and of[2] and of[3]):
            return (0, 0.5, 1, 1.5)[min(c, 3)]  # KenLM's --discount_fallback
        y = of[1] / (of[1] + 2 * of[2])
        found = (0, 1 - 2 * y * of[2] / of[1], 2 - 3 * y * of[3] / of[2], 3 - 4 * y * of[4] / of[3])[min(c, 3)]
        return min(max(found, 0), min(c, 3))

    def p(word, context):
        n = len(context) + 1
        lower = 1 / len(vocabulary) if n == 1 else p(word, context[1:])
        after = {g: c for g, c in weights[n].items() if g[:-1] == context}
        if not after:
            return lower
        c = after.get((*context, word), 0)
        return (c - discount(n, c) + sum(discount(n, x) for x in after.values()) * lower) / sum(after.values())

    return p


@pytest.mark.parametrize("order", [1, 2, 3])
def test_kneser_ney_as_its_formula(order, tmp_path):
    dice = Random(order)
    words = [f"w{i}" for i in range(20)]
    lines = [[dice.choices(words, weights=[1 / (i + 1) for i in range(20)])[0] for _ in range(dice.randint(1, 9))] for _ in range(120)]
    model = estimate(lines, order, 15)
    known = [w for w in model.vocabulary if w not in ("<s>", "</s>", "<unk>")]
    p = slow_kneser_ney(lines, order, set(known))
    asked = [*lines[:20], ["w0", "never", "w1"], ["w3", "w3", "w3"]]
    expected = 0.0
    for line in asked:
        whole = ["<s>", *(w if w in known else "<unk>" for w in line), "</s>"]
        expected += sum(np.log10(p(whole[i], tuple(whole[max(0, i - order + 1) : i]))) for i in range(1, len(whole)))
    assert model.log10(asked) == pytest.approx(expected, rel=1e-10)
    write(model, tmp_path / "x.arpa")
    assert read(tmp_path / "x.arpa").log10(asked) == pytest.approx(expected, rel=1e-6)
    for context in (["w0"], ["w1", "w0"], []):  # what may follow sums to one
        assert sum(
            p(w, tuple((["<s>", *context])[-(order - 1) :]) if order > 1 else ()) for w in [*known, "<unk>", "</s>"]
        ) == pytest.approx(1)


@pytest.mark.skipif(not WIKITEXT.is_file(), reason="needs WikiText")
def test_as_kenlm_on_the_same_arpa(tmp_path):
    kenlm = pytest.importorskip("kenlm")
    lines = sentences(WIKITEXT.read_text(encoding="utf-8"), True)[:1500]
    write(estimate(lines[:1000], 3, 3000), tmp_path / "x.arpa")
    ours, theirs = read(tmp_path / "x.arpa"), kenlm.Model(str(tmp_path / "x.arpa"))
    for line in lines[900:1100]:
        assert ours.log10([line]) == pytest.approx(theirs.score(" ".join(line)), rel=1e-5, abs=1e-3)
        assert perplexity(ours, [line]) == pytest.approx(theirs.perplexity(" ".join(line)), rel=1e-3)


def run(built, text):
    document = Document(text=text, id="x", metadata={})
    decision = built.filter(document)
    return decision if decision is True else decision[1]


def test_bounds(arpa):
    """`a b`: 10 ** (1.1625 / 3) = 2.4406."""
    for bounds, decision in (
        ({"max_perplexity": 2.45}, True),
        ({"max_perplexity": 2.43}, "perplexity_too_high"),
        ({"min_perplexity": 2.43}, True),
        ({"min_perplexity": 2.45}, "perplexity_too_low"),
    ):
        built = pickle.loads(pickle.dumps(Perplexity(arpa=arpa, normalise=False, **bounds).build()))
        assert run(built, "a b\n\n") == decision and run(built, " \n") == "no_words"


def test_percentiles_of_a_reference(tmp_path):
    good = "\n".join(["the mill turns when the wind blows", "the wind turns the mill", "when the mill turns the wind blows"] * 5)
    (tmp_path / "good.txt").write_text(good)
    dice = Random(1)
    odd = [" ".join(dice.choices("the mill turns when wind blows xylophone quartz".split(), k=12)) for _ in range(101)]  # noqa: SIM905
    (tmp_path / "reference.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in odd))
    common = {"train_on": (tmp_path / "good.txt",), "reference": (tmp_path / "reference.jsonl",)}
    head = Perplexity(**common, max_percentile=30).build()
    middle = Perplexity(**common, min_percentile=30, max_percentile=60).build()
    assert sum(run(head, text) is True for text in odd) == 31 and sum(run(middle, text) is True for text in odd) == 31  # of 101, both ends
    assert run(head, "the mill turns") is True and run(middle, "the mill turns") == "perplexity_too_low"
    most = max(odd, key=lambda text: perplexity(head.model, sentences(text, True)))
    assert run(head, most) == run(middle, most) == "perplexity_too_high"


def test_what_is_wrong(arpa, tmp_path):
    (tmp_path / "x.txt").write_text("some text")
    (tmp_path / "empty.txt").write_text("\n")
    text = (tmp_path / "x.txt",)
    for values, told in (
        ({}, "arpa: give an ARPA file"),
        ({"arpa": arpa, "train_on": text}, "arpa: give an ARPA file"),
        ({"arpa": tmp_path / "y"}, "arpa: nothing is at"),
        ({"arpa": text[0], "max_perplexity": 9.0}, "arpa: .* is no ARPA file"),
        ({"arpa": arpa}, "max_perplexity: no bound is set"),
        ({"arpa": arpa, "max_percentile": 30.0}, "reference: percentiles are of its texts"),
        ({"train_on": (arpa,), "max_perplexity": 9.0}, "train_on: .* is no file of texts"),
    ):
        (found,) = Perplexity(**values).problems()
        assert found.startswith(told.partition(".*")[0]), found
    assert Perplexity(arpa=arpa, max_perplexity=3.0).problems() == []
    with pytest.raises(ModelwrightError, match="train_on: it has no text"):
        Perplexity(train_on=(tmp_path / "empty.txt",), max_perplexity=3.0).build()
    with pytest.raises(ValueError, match="min_percentile is 60"):
        Perplexity(min_percentile=60, max_percentile=30)
    with pytest.raises(ValueError, match="order is 0"):
        Perplexity(order=0)
