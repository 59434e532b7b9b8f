"""Text metrics are their libraries' numbers, and by hand where a paper's arithmetic is short."""

from __future__ import annotations

import pytest

from modelwright_plugins.evaluator import text_metrics
from modelwright_plugins.evaluator.text_metrics import METRICS, bleu, exact_match, f1, meteor, rouge_1, rouge_2, rouge_l

SAID = ["the cat sat on the mat", "a large soup, please", "", "no", "two pizzas and one small tea are on their way"]
RIGHT = ["the cat is sitting on the mat", "One large soup, please!", "yes", "no", "Two pizzas and a small tea are on the way."]


def test_bleu_is_sacrebleu() -> None:
    import sacrebleu

    found = bleu(SAID, RIGHT)
    assert found.value == pytest.approx(sacrebleu.corpus_bleu(SAID, [RIGHT]).score, rel=1e-12)
    assert (found.name, found.count) == ("bleu", 5) and found.low < found.value < found.high <= 100
    assert bleu(RIGHT, RIGHT).value == pytest.approx(100)


def test_bleu_interval_is_that_of_resampled_corpora() -> None:
    """The same draws, each scored by sacrebleu from its sentences."""
    import numpy as np
    import sacrebleu

    rng, drawn = np.random.default_rng(len(SAID)), []
    for _ in range(1000):
        places = rng.integers(0, len(SAID), len(SAID))
        drawn.append(sacrebleu.corpus_bleu([SAID[i] for i in places], [[RIGHT[i] for i in places]]).score)
    found = bleu(SAID, RIGHT)
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=1e-9)


def test_rouge_is_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    each = [scorer.score(right, said) for said, right in zip(SAID, RIGHT, strict=True)]
    for metric, name in ((rouge_1, "rouge1"), (rouge_2, "rouge2"), (rouge_l, "rougeL")):
        assert metric(SAID, RIGHT).value == pytest.approx(sum(one[name].fmeasure for one in each) / 5, rel=1e-12)
    # 6 words against 7, of which the, cat, on, the, mat: P 5/6, R 5/7; pairs: the cat, on the, the mat: P 3/5, R 3/6
    assert rouge_1(SAID[:1], RIGHT[:1]).value == pytest.approx(2 * 5 / 13)
    assert rouge_2(SAID[:1], RIGHT[:1]).value == pytest.approx(2 * 3 / 11)
    assert rouge_l(SAID[:1], RIGHT[:1]).value == pytest.approx(2 * 5 / 13)


def test_meteor_by_the_formula_of_the_paper() -> None:
    """Banerjee & Lavie 2005, section 2, with nltk's alpha 0.9, beta 3 and gamma 0.5: words match as they are, or by their stems."""
    found = meteor(SAID[:1], RIGHT[:1])  # the cat | on the mat match: 5 of 6 and 7 in 2 chunks
    precision, recall = 5 / 6, 5 / 7
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert found.name.startswith("meteor") and found.value == pytest.approx(mean * (1 - 0.5 * (2 / 5) ** 3))
    assert meteor(["it works"], ["it worked"]).value == pytest.approx(1 - 0.5 * (1 / 2) ** 3)  # one stem
    assert meteor(["", "x"], ["", ""]).value == 0.5


def test_meteor_without_wordnet_says_so_and_is_nltk_without_synonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk.translate.meteor_score as theirs

    monkeypatch.setattr(text_metrics, "_wordnet", lambda: (text_metrics._NoSynonyms(), False))
    monkeypatch.setattr(theirs, "_enum_wordnetsyn_match", lambda said, right, wordnet=None: ([], said, right))
    found = meteor(SAID[:2], RIGHT[:2])
    each = [
        theirs.meteor_score([text_metrics._words(right)], text_metrics._words(said)) for said, right in zip(SAID[:2], RIGHT, strict=False)
    ]
    assert found.name == "meteor_without_wordnet" and found.value == pytest.approx(sum(each) / 2)


def test_exact_match_and_f1_as_squad_counts_them() -> None:
    """evaluate-v1.1.py: lower case, no punctuation, no articles, single spaces; F1 of the words as bags."""
    pairs = {
        ("The  Cat!", "cat"): (1, 1),
        ("a dog", "the cat"): (0, 0),
        ("x y y", "y y z"): (0, 2 / 3),
        ("the", ""): (1, 1),
        ("x", ""): (0, 0),
    }
    for (said, right), (exact, common) in pairs.items():
        assert exact_match([said], [right]).value == exact and f1([said], [right]).value == pytest.approx(common), (said, right)
    said, right = zip(*pairs, strict=True)
    assert exact_match(said, right).value == 0.4 and f1(said, right).value == pytest.approx((2 + 2 / 3) / 5)


def test_what_cant_be_measured_is_told() -> None:
    for metric in METRICS.values():
        with pytest.raises(ValueError, match="nothing to measure"):
            metric([], [])
        with pytest.raises(ValueError, match=r"is (shorter|longer)"):
            metric(["x"], ["x", "y"])
