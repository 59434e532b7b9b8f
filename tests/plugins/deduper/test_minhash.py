"""MinHash against exact Jaccard similarity, computed the slow way on sets of word n-grams."""

import itertools
import random
import re

import numpy as np
import pytest

from modelwright_plugins.deduper._groups import BYTES, Groups, at_once
from modelwright_plugins.deduper.minhash import MinHash

WORDS = [f"word{i}" for i in range(3000)]


def ngrams(text, n=5):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def jaccard(a, b):
    return len(a & b) / len(a | b) if a or b else 0.0


def edited(words, changes, pick):
    words = list(words)
    for at in pick.sample(range(len(words)), changes):
        words[at] = pick.choice(WORDS)
    return words


@pytest.fixture(scope="module")
def corpus():
    """200 families of 1 to 4 texts: the first is random, the others are edits of it, from light to heavy."""
    pick = random.Random(0)
    texts, family = [], []
    for number in range(200):
        words = pick.choices(WORDS, k=pick.randint(60, 250))
        for changes in [0, *(pick.choice([1, 2, 3, 4, 6, 9, 14, 25]) for _ in range(number % 4))]:
            texts.append(" ".join(edited(words, changes, pick)))
            family.append(number)
    order = pick.sample(range(len(texts)), len(texts))
    return [texts[i] for i in order], [family[i] for i in order]


def test_similarity_estimated_from_signatures_is_jaccard(corpus):
    texts, family = corpus
    signatures = MinHash().sign(texts)
    sets = [ngrams(text) for text in texts]
    pairs = [(i, j) for i, j in itertools.combinations(range(len(texts)), 2) if family[i] == family[j]]
    truth = np.array([jaccard(sets[i], sets[j]) for i, j in pairs])
    estimate = np.array([(signatures[i] == signatures[j]).mean() for i, j in pairs])
    error = estimate - truth
    assert truth.min() < 0.2 and truth.max() > 0.9 and len(pairs) > 200
    assert abs(error.mean()) < 0.01  # unbiased
    assert abs(error.std() - np.sqrt((truth * (1 - truth) / 112).mean())) < 0.01  # binomial, 112 values


def test_recall_and_precision_by_exact_similarity(corpus):
    texts, _ = corpus
    minhash = MinHash()
    first = minhash.first(minhash.sign(texts))
    sets = [ngrams(text) for text in texts]
    similar = {(i, j): s for i, j in itertools.combinations(range(len(texts)), 2) if (s := jaccard(sets[i], sets[j])) > 0.5}

    def recall(low, high):
        band = [first[i] == first[j] for (i, j), s in similar.items() if low <= s <= high]
        assert len(band) >= 15
        return np.mean(band)

    assert recall(0.9, 1.0) > 0.99 and recall(0.8, 0.9) > 0.9  # banding alone: 1 - (1 - 0.8^8)^14 = 0.92 at 0.8
    joined = [(int(f), i) for i, f in enumerate(first) if f != i]
    assert len(joined) > 100 and all(jaccard(sets[a], sets[b]) > 0.55 for a, b in joined)


def test_each_group_keeps_exactly_one_the_first(corpus):
    """Groups found the slow way, with texts so alike, or so unlike, that the estimate cannot be in doubt."""
    pick = random.Random(1)
    texts, family = [], []
    for number in range(120):
        words = pick.choices(WORDS, k=400)
        for _ in range(pick.randint(1, 6)):
            texts.append(" ".join(edited(words, pick.choice([0, 1, 2]), pick)))
            family.append(number)
    order = pick.sample(range(len(texts)), len(texts))
    texts, family = [texts[i] for i in order], [family[i] for i in order]
    minhash = MinHash()
    first = minhash.first(minhash.sign(texts))
    assert first.tolist() == [family.index(number) for number in family]


def test_a_collision_in_one_band_is_not_enough():
    """Pairs of similarity 0.5 meet in some band, 1 in 19; the estimate from all values lets them go."""
    pick = random.Random(3)
    texts = []
    for _ in range(300):
        words = pick.choices(WORDS, k=200)
        texts += [" ".join(words), " ".join(words[:134] + pick.choices(WORDS, k=66))]
    near, all_that_meet = MinHash(), MinHash(min_similarity=0.0)
    signatures = near.sign(texts)
    met = (all_that_meet.first(signatures) != np.arange(len(texts))).sum()
    assert met > 5 and (near.first(signatures) != np.arange(len(texts))).sum() == 0


def test_signatures_do_not_depend_on_how_texts_are_batched(corpus):
    texts, _ = corpus
    texts = ["", "too short", *texts[:40], "one two three four five", "ONE, two; three -- four (five)"]
    minhash = MinHash()
    whole = minhash.sign(texts)
    assert whole.shape == (44, 112) and (whole == np.concatenate([minhash.sign([text]) for text in texts])).all()
    assert (whole[:2] == 0xFFFFFFFF).all() and (whole[-1] == whole[-2]).all() and not (whole[2:] == 0xFFFFFFFF).all(axis=1).any()
    assert minhash.sign([]).shape == (0, 112)
    first = minhash.first(whole)
    assert first[:2].tolist() == [0, 1] and first[-1] == 42  # texts too short to have n-grams are nobody's duplicates


def test_other_bands_rows_and_seeds():
    texts = ["a b c d e f g h", "a b c d e f g h", "q r s t u v w x"]
    minhash = MinHash(ngram=3, bands=4, rows=2, seed=9)
    signatures = minhash.sign(texts)
    assert signatures.shape == (3, 8) and (signatures != MinHash(ngram=3, bands=4, rows=2).sign(texts)).any()
    assert minhash.first(signatures).tolist() == [0, 0, 2]
    with pytest.raises(ValueError, match="at least 1"):
        MinHash(rows=0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        MinHash(min_similarity=1.5)


def test_a_large_bucket_of_pages_that_are_not_alike_is_not_compared_pair_by_pair(monkeypatch):
    """Pages of one template: one band is equal in all, and half of the other values; only the planted pairs are similar."""
    random = np.random.default_rng(0)
    template = random.integers(0, 2**32, 112, dtype=np.uint32)
    pages = random.integers(0, 2**32, (5000, 112), dtype=np.uint32)
    pages[:, :8] = template[:8]
    common = random.random((5000, 112)) < 0.5
    pages[common] = np.broadcast_to(template, pages.shape)[common]
    planted = random.permutation(5000)[:400].reshape(-1, 2)
    for a, b in planted:
        pages[b] = np.where(random.random(112) < 0.9, pages[a], pages[b])
        pages[b, :8] = template[:8]
    compared = 0
    close = Groups._join_similar

    def counted(self, a, b):
        nonlocal compared
        compared += len(a)
        close(self, a, b)

    monkeypatch.setattr(Groups, "_join_similar", counted)
    first = MinHash().first(pages)
    assert compared < 5000 * 5000 / 4  # all pairs: 5000 * 4999 / 2, in each band in which they meet
    found = (first[planted[:, 0]] == first[planted[:, 1]]).mean()
    assert found > 0.95
    assert len(np.unique(first)) >= 5000 - 200
    order = random.permutation(5000)
    again = MinHash().first(pages[order])
    groups = [
        {frozenset(name[found == one].tolist()) for one in np.unique(found)} for found, name in ((first, np.arange(5000)), (again, order))
    ]
    assert groups[0] == groups[1]


def test_wide_signatures_are_compared_a_few_at_a_time():
    assert at_once(np.zeros((2, 9000), dtype=np.uint32)) * 9000 * 4 <= BYTES
    assert at_once(np.zeros((2, 112), dtype=np.uint32)) > 50_000
