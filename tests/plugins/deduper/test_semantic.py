"""Semantic duplicates against a dense float64 formula with numpy's exact SVD, and planted shuffled texts."""

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash
from scipy.sparse import csr_array

sys.path.insert(0, str(Path(__file__).parent))
from passes import deduplicate

from modelwright_plugins.deduper._embedding import embedded
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.deduper.semantic import Semantic


def shuffled(text, pick, changes):
    words = text.split()
    for at in pick.sample(range(len(words)), changes):
        words[at] = f"new{pick.randrange(10**6)}"
    pick.shuffle(words)
    return " ".join(words)


def corpus(families, seed=0, length=120, least=0):
    """Families of a random text and 0 to 3 of it with its words in another order, and `least` to 3 of them changed."""
    pick = random.Random(seed)
    pairs = []
    for number in range(families):
        words = [f"w{int(3000 * pick.random() ** 2)}" for _ in range(length)]
        pairs += [(number, " ".join(words))] + [
            (number, shuffled(" ".join(words), pick, pick.randint(least, 3))) for _ in range(number % 4)
        ]
    pick.shuffle(pairs)
    return [text for _, text in pairs], [number for number, _ in pairs]


def slow_vectors(texts, features, dimensions):
    counts = np.zeros((len(texts), features))
    for row, text in zip(counts, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[xxhash.xxh3_64_intdigest(word) % features] += 1
    idf = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    vectors = weights @ np.linalg.svd(weights)[2][:dimensions].T
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("keep", ["farthest", "nearest"])
def test_what_stays_is_what_a_dense_formula_keeps(keep):
    """One cluster: groups by walking from neighbour to neighbour, and of each the extreme cosine to the mean."""
    texts, _ = corpus(50, least=1)
    assert 110 < len(texts) <= 126  # with 16 directions to spare the randomised SVD is exact
    vectors = slow_vectors(texts, 512, 110)
    similar = vectors @ vectors.T
    bound = 0.85
    assert np.abs(similar[np.triu_indices(len(texts), 1)] - bound).min() > 1e-5  # no pair is in doubt
    near = vectors @ vectors.sum(axis=0)
    expected = np.full(len(texts), -1)
    for start in range(len(texts)):
        group, todo = {start}, [start]
        while todo:
            todo += [j for j in np.flatnonzero(similar[todo.pop()] >= bound).tolist() if j not in group and not group.add(j)]
        expected[start] = (min if keep == "farthest" else max)(group, key=lambda i: near[i])
    semantic = Semantic(features=512, dimensions=110, min_similarity=bound, keep=keep)
    assert semantic.first(semantic.sign(texts)).tolist() == expected.tolist()
    assert len(set(expected)) < len(texts) and (expected > np.arange(len(texts))).any()


@pytest.mark.parametrize("cluster_size", [1000, 30])
def test_shuffled_texts_that_minhash_passes_are_found(cluster_size, tmp_path):
    texts, family = corpus(200)
    assert None not in deduplicate(MinHash(), texts, tmp_path / "minhash")[:50]
    left = deduplicate(Semantic(min_similarity=0.85, cluster_size=cluster_size), texts, tmp_path / "semantic")
    kept = [family[i] for i, text in enumerate(left) if text]
    assert {*kept} == {*range(200)}  # nothing went for another family's text
    assert len(kept) == 200 if cluster_size == 1000 else len(kept) <= 206


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["farthest", "nearest"])
def test_the_same_stays_whatever_the_tasks_and_the_order(keep, tmp_path):
    texts, _ = corpus(120, seed=3)
    texts += [*texts[:9], "", "?!", "..."]
    semantic = Semantic(min_similarity=0.85, cluster_size=40, keep=keep)
    left = {tasks: deduplicate(semantic, texts, tmp_path / f"{tasks}", tasks) for tasks in (1, 3, 7)}
    assert left[1] == left[3] == left[7] and left[1][-3:] == texts[-3:]
    # of texts with the same words the first stays: they differ in nothing that is looked at
    bags = lambda texts: sorted(sorted(text.split()) for text in texts if text is not None)  # noqa: E731
    kept = bags(left[1])
    for seed in range(3):
        order = random.Random(seed).sample(texts, len(texts))
        assert bags(deduplicate(semantic, order, tmp_path / f"order{seed}")) == kept
    left = [text for text in left[1] if text is not None]
    whole = Semantic(min_similarity=0.85, keep=keep)
    once = [text for text in deduplicate(whole, left, tmp_path / "whole") if text is not None]
    assert deduplicate(whole, once, tmp_path / "again") == once


def test_the_randomised_svd_finds_the_first_directions():
    random = np.random.default_rng(0)
    left, right = np.linalg.qr(random.standard_normal((300, 60)))[0], np.linalg.qr(random.standard_normal((200, 60)))[0]
    matrix = (left * 0.8 ** np.arange(60)) @ right.T
    exact = matrix @ np.linalg.svd(matrix)[2][:10].T
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    found = embedded(csr_array(matrix.astype(np.float32)), 10, seed=5)
    assert found.shape == (300, 10) and np.abs(found @ found.T - exact @ exact.T).max() < 1e-3


def test_one_two_and_bad_values():
    semantic = Semantic()
    for texts, expected in ([["one"], [0]], [["one two", "two ONE", "three"], [0, 0, 2]], [["", ""], [0, 1]], [[], []]):
        assert semantic.first(semantic.sign(texts)).tolist() == expected
    assert semantic.sign(["a " * 999]).max() == 255
    for bad in ({"min_similarity": 0.0}, {"features": 1}, {"dimensions": 0}, {"cluster_size": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Semantic(**bad)
