"""Classifiers beside what they are made of, written the slow way: features, minimum, area under a curve; each side of the threshold."""

import json
import pickle
import re
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
import xxhash
from datatrove.data import Document

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter._classifier import read, train
from modelwright_plugins.filter._features import Bags
from modelwright_plugins.filter._logistic import auc, fit, roc, sigmoid
from modelwright_plugins.filter.quality import QualityClassifier
from modelwright_plugins.filter.toxicity import ToxicityClassifier

HERE = Path(__file__).parent
GOOD, BAD = HERE / "good_lines.txt", HERE / "bad_lines.txt"
QUALITY, TOXICITY = QualityClassifier(good=(GOOD,), bad=(BAD,)), ToxicityClassifier(toxic=(BAD,), harmless=(GOOD,))
WORDS = [f"w{n}" for n in range(300)]


def decide(built, text):
    document = Document(text=text, id="x", metadata={})
    decision = built.filter(document)
    return (decision if decision is True else decision[1]), document.metadata


@pytest.mark.parametrize("ngram", [1, 2, 3])
def test_buckets_as_computed_one_by_one(ngram):
    def slow(words):
        whole = 1 << 64
        mixed = []
        for word in words:
            value = (xxhash.xxh3_64_intdigest(word.encode()) + 1) * 0xBF58476D1CE4E5B9 % whole
            mixed.append(value ^ (value >> 31))
        found = []
        for n in range(1, ngram + 1):
            for at in range(len(words) - n + 1):
                total = 0
                for value in mixed[at : at + n]:
                    total = (total * (0x9E3779B97F4A7C15 | 1) + value) % whole
                found.append(total >> 64 - 12)
        return sorted(found)

    bags = pickle.loads(pickle.dumps(Bags(ngram, 12)))
    for text, words in (
        ("The mill... THE mill!", ["the", "mill", "...", "the", "mill", "!"]),
        ("磨坊 it's\n3.5", ["磨", "坊", "it", "'", "s", "3", ".", "5"]),
        ("one", ["one"]),
        (" \n", []),
    ):
        assert sorted(bags.buckets(text).tolist()) == slow(words)
        there, shares = bags.shares(text)
        assert dict(zip(there.tolist(), shares.tolist(), strict=True)) == {b: slow(words).count(b) / len(slow(words)) for b in slow(words)}
    assert len(bags.buckets("lone \ud800 surrogate")) == sum(3 - n for n in range(ngram))


def newton(matrix, labels, l2):
    """The same loss, minimised by Newton's method with halved steps, in float64."""
    rows, columns = matrix.shape
    x = np.hstack([matrix, np.ones((rows, 1))])
    counted = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    penalty = np.append(np.full(columns, l2), 0.0)
    point = np.zeros(columns + 1)

    def loss(at):
        return counted @ np.logaddexp(0, np.where(labels, -1, 1) * (x @ at)) + penalty / 2 @ at**2

    for _ in range(100):
        p = 1 / (1 + np.exp(-(x @ point)))
        gradient = x.T @ (counted * (p - labels)) + penalty * point
        step = np.linalg.solve((x.T * (counted * p * (1 - p))) @ x + np.diag(penalty), gradient)
        size = 1.0
        while loss(point - size * step) > loss(point) and size > 1e-9:
            size /= 2
        point = point - size * step
        if np.abs(step).max() < 1e-10:
            break
    return point


@pytest.mark.parametrize("l2", [1e-2, 1e-4, 1e-6])
def test_the_minimum_as_newtons_method_finds_it(l2):
    dice = Random(3)
    texts = [" ".join(dice.choices(WORDS[:60] if n % 3 else WORDS[20:80], k=dice.randint(3, 30))) for n in range(90)]
    labels = np.arange(90) % 3 == 0  # 30 and 60
    bags = [Bags(1, 10).shares(text) for text in texts]
    dense = np.zeros((90, 1 << 10))
    for row, (there, shares) in zip(dense, bags, strict=True):
        row[there] = shares
    weights, bias = fit(bags, labels, 10, l2)
    theirs = newton(dense, labels, l2)
    ours = dense @ weights + bias
    assert np.abs(sigmoid(ours) - sigmoid(dense @ theirs[:-1] + theirs[-1])).max() < 1e-3
    assert sigmoid(ours).std() > 0.01


def test_the_curve_as_counted():
    dice = np.random.default_rng(1)
    true, false = dice.normal(1, 1, 60).round(1), dice.normal(0, 1, 45).round(1)  # with ties
    pairs = [(a > b) + (a == b) / 2 for a in true for b in false]
    assert auc(true, false) == pytest.approx(np.mean(pairs))
    assert auc(np.ones(3), np.zeros(2)) == 1 and auc(np.zeros(3), np.zeros(2)) == 0.5 and auc(np.zeros(3), np.ones(2)) == 0
    for threshold in true[:5]:
        point = [(false >= threshold).mean(), (true >= threshold).mean()]
        assert np.isclose(roc(true, false), point).all(1).any()


def random_texts(count, seed, words=WORDS):
    dice = Random(seed)
    return [" ".join(dice.choices(words, k=40)) for _ in range(count)]


@pytest.mark.parametrize("repeated", [1, 5])
def test_random_labels_are_told_apart_by_chance_only(repeated):
    """Also where a text comes five times: with copies on both sides of what is held out, it would be known."""
    good, bad = random_texts(400, 1), random_texts(400, 2)
    model = train(("good", "bad"), (good * repeated, bad * repeated), 2, 14, 1e-7)
    assert model.trained_on == (320, 320) and [len(side) for side in model.held_out] == [80, 80]
    assert 0.35 < model.auc() < 0.65  # 3 standard deviations: 0.5 +- 0.137
    trained = np.mean([model.probability(text) > 0.5 for text in good]) + np.mean([model.probability(text) < 0.5 for text in bad])
    assert trained > 1.7  # it learned them by heart, which the held-out ones must not show


def test_what_both_classes_have_is_left_out_and_order_does_not_matter():
    good, bad = random_texts(60, 1), random_texts(60, 2, WORDS[150:])
    one = train(("good", "bad"), (good + bad[:10], bad), 2, 14, 1e-7)
    assert one.trained_on == (48, 40)
    two = train(("good", "bad"), ([*reversed(bad[:10]), *good], [*reversed(bad)]), 2, 14, 1e-7)
    assert (one.weights == two.weights).all() and one.bias == two.bias and one.auc() == two.auc() > 0.9


def test_each_side_of_the_threshold(capsys):
    text = "cheap flour from the mill, buy now"
    built = QUALITY.build()
    assert "quality_classifier: trained on 16 good and 16 bad texts; 4 and 4 held out: AUC " in capsys.readouterr().out
    p = built.model.probability(text)
    assert 0.1 < p < 0.9 and p == round(p, 6)
    for threshold, kept, dropped in ((p - 1e-6, True, True), (p, True, True), (p + 1e-6, "low_quality", "toxic")):
        built.threshold = threshold
        assert decide(built, text) == (kept, {"quality": p})
        other = TOXICITY.build()
        found = other.model.probability(text)
        other.threshold = found - (threshold - p)
        assert decide(other, text) == (dropped, {"toxicity": found})
    assert decide(built, " \n") == ("no_words", {}) and decide(other, " \n") == (True, {})
    assert other.model.probability("click here free !!!") > 0.5 > other.model.probability("the wheel and the river")


def test_noise_as_numpys():
    """GPT-3: np.random.pareto(9) > 1 - score."""
    from scipy.stats import ks_2samp

    built = QualityClassifier(good=(GOOD,), bad=(BAD,), selection="pareto", seed=4).build()
    ours = [built.noise(f"text {n}") for n in range(20_000)]
    assert ks_2samp(ours, np.random.default_rng(1).pareto(9, 20_000)).pvalue > 0.01
    low = built.model.probability("click HERE")
    texts = [f"click HERE {n}" for n in range(3000)]
    expected = sum((2 - built.model.probability(text)) ** -9 for text in texts)
    kept = [decide(built, text)[0] is True for text in texts]
    assert low < 0.5 and abs(sum(kept) - expected) < 4 * expected**0.5
    assert kept == [decide(pickle.loads(pickle.dumps(built)), text)[0] is True for text in texts]
    built.noise = lambda text: 1 - built.model.probability(text)  # exactly as much is not above
    assert decide(built, "click HERE")[0] == "low_quality"
    built.noise = lambda text: 1 - built.model.probability(text) + 1e-9
    assert decide(built, "click HERE")[0] is True


def test_a_kept_model_is_the_model(tmp_path, capsys):
    kept = tmp_path / "models" / "quality.safetensors"
    import dataclasses

    trained = dataclasses.replace(QUALITY, keep=kept).build()
    told = capsys.readouterr().out
    again = QualityClassifier(model=kept).build()
    assert capsys.readouterr().out == told
    for text in ("The mill turns.", "click HERE", "x"):
        assert again.model.probability(text) == trained.model.probability(text)
    first, picture = kept.read_bytes(), kept.with_suffix(".roc.svg").read_text()
    assert dataclasses.replace(QUALITY, keep=kept).problems() == []  # written once more
    dataclasses.replace(QUALITY, keep=kept).build()
    assert kept.read_bytes() == first and kept.with_suffix(".roc.svg").read_text() == picture
    with pytest.raises(
        ModelwrightError, match=r"filter\.quality_classifier\.keep: \S+ has another model, .*; name another file, or remove"
    ):
        dataclasses.replace(QUALITY, keep=kept, ngram=1).build()
    assert kept.read_bytes() == first
    assert sorted(p.name for p in kept.parent.iterdir()) == ["quality.roc.svg", "quality.safetensors"]
    label = ElementTree.fromstring(picture).attrib["aria-label"]
    assert label.startswith("ROC curve on 4 good and 4 bad texts that were held out")
    assert {*re.findall(r"var\((--[\w-]+)\)", picture)} <= {*re.findall(r"(--[\w-]+):", picture)}  # no page around it has its colours


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("few.txt").write_text("one text\n\none text\n\nanother\n\n \n")
    Path("no_text.jsonl").write_text('{"body": "x"}\n')
    Path("text.csv").write_text("x")
    Path("noise.safetensors").write_bytes(b"\x08" * 100)
    Path("same.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in re.split("\n\n", GOOD.read_text().strip())))
    model = QUALITY.build().model
    model.keep(Path("good.safetensors"))
    Path("cut.safetensors").write_bytes(Path("good.safetensors").read_bytes()[:-100])
    model.weights[3] = np.nan
    model.keep(Path("nan.safetensors"))


@pytest.mark.parametrize(
    ("make", "values", "told"),
    [
        (QualityClassifier, {}, "good: examples of both classes are needed (good, bad), or a trained model (model)"),
        (QualityClassifier, {"good": GOOD}, "bad: examples of both classes are needed"),
        (ToxicityClassifier, {"harmless": GOOD}, "toxic: examples of both classes are needed"),
        (QualityClassifier, {"good": GOOD, "bad": "gone.txt"}, "bad: nothing is at gone.txt"),
        (QualityClassifier, {"good": GOOD, "bad": "few.txt"}, "bad: it has 2 different texts with words; at least 20 are needed"),
        (QualityClassifier, {"good": "no_text.jsonl", "bad": BAD}, "good: no_text.jsonl line 1: no text under key 'text'"),
        (QualityClassifier, {"good": "text.csv", "bad": BAD}, "good: text.csv is no file of texts; its name ends in .jsonl"),
        (QualityClassifier, {"model": "good.safetensors", "bad": BAD}, "model: it is trained already"),
        (QualityClassifier, {"model": "good.safetensor"}, "model: nothing is at good.safetensor; did you mean 'good.safetensors'?"),
        (QualityClassifier, {"model": "noise.safetensors"}, "model: noise.safetensors is no kept classifier, or a damaged one"),
        (QualityClassifier, {"model": "cut.safetensors"}, "model: cut.safetensors is no kept classifier, or a damaged one"),
        (QualityClassifier, {"model": "nan.safetensors"}, "model: nan.safetensors is a damaged classifier"),
        (
            ToxicityClassifier,
            {"model": "good.safetensors"},
            "model: good.safetensors tells good from bad texts, not toxic from harmless ones",
        ),
        (QualityClassifier, {"good": GOOD, "bad": BAD, "keep": "noise.safetensors"}, "keep: something else is there"),
        (QualityClassifier, {"model": "good.safetensors"}, None),
    ],
)
def test_what_plan_tells(files, make, values, told):
    component = make(**{name: Path(v) if name in ("model", "keep") else (Path(v),) for name, v in values.items()})
    found = component.problems()
    assert found == [] if told is None else len(found) == 1 and found[0].startswith(told) and "\n" not in found[0], found


def test_what_is_seen_when_it_is_built(files):
    with pytest.raises(
        ModelwrightError, match=r"filter\.quality_classifier\.good: it has 0 different texts with words beside 20 that good and bad"
    ):
        QualityClassifier(good=(GOOD,), bad=(Path("same.jsonl"),)).build()
    with pytest.raises(ModelwrightError, match=r"filter\.toxicity_classifier\.model: good.safetensors tells good from bad"):
        ToxicityClassifier(model=Path("good.safetensors")).build()
    with pytest.raises(ValueError, match="is no kept classifier"):
        read(GOOD, ("good", "bad"))
    Path("taken").write_text("")
    with pytest.raises(ModelwrightError, match=r"filter\.quality_classifier\.keep: it can't be written"):
        QualityClassifier(good=(GOOD,), bad=(BAD,), keep=Path("taken/x.safetensors")).build()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"ngram": 0}, "ngram is 0"),
        ({"buckets": 1000}, "buckets is 1000; it is a power of two"),
        ({"l2": 0}, "l2 is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"keep": Path("x.bin")}, r"keep is 'x\.bin'; its name ends in \.safetensors"),
        ({"pareto_alpha": 0}, "pareto_alpha is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_values(values, wrong):
    with pytest.raises(ValueError, match=wrong):
        QualityClassifier(**values)
