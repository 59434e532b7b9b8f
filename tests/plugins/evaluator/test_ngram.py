from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from modelwright_plugins.evaluator import ngram
from modelwright_plugins.evaluator.ngram import NGrams


def zipf(length: int, vocab: int, seed: int) -> np.ndarray:
    """Tokens with structure: each depends on the one before it."""
    rng = np.random.default_rng(seed)
    jumps = np.minimum(rng.zipf(1.5, length), vocab) - 1
    return (np.cumsum(jumps) % vocab).astype(np.int64)


class Slow:
    """Interpolated modified Kneser-Ney, word for word from Chen & Goodman 1999, with dictionaries."""

    def __init__(self, spans: list[list[int]], order: int, vocab: int) -> None:
        self.vocab, self.order = vocab, order
        raw = {n: Counter(tuple(s[i : i + n]) for s in spans for i in range(len(s) - n + 1)) for n in range(1, order + 1)}
        self.counts: dict[int, dict[tuple[int, ...], int]] = {order: dict(raw[order])}
        for n in range(1, order):
            before = defaultdict(set)
            for gram in raw[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = {gram: len(words) for gram, words in before.items()}
        self.discounts = {n: self.estimate(self.counts[n]) for n in self.counts}

    @staticmethod
    def estimate(counts: dict[tuple[int, ...], int]) -> dict[int, float]:
        n = Counter(counts.values())
        if not (n[1] and n[2] and n[3]):
            return {1: 0.5, 2: 1.0, 3: 1.5}
        y = n[1] / (n[1] + 2 * n[2])
        return {i: min(max(i - (i + 1) * y * n[i + 1] / n[i], 0), i) for i in (1, 2, 3)}

    def probability(self, context: tuple[int, ...], word: int) -> float:
        return self.level(context[len(context) - min(self.order - 1, len(context)) :], word, min(self.order, len(context) + 1))

    def level(self, context: tuple[int, ...], word: int, n: int) -> float:
        if n == 0:
            return 1 / self.vocab
        lower = self.level(context[1:], word, n - 1)
        following = {gram: c for gram, c in self.counts[n].items() if gram[:-1] == context}
        total = sum(following.values())
        if not total:
            return lower
        discount = self.discounts[n]
        gamma = sum(discount[min(c, 3)] for c in following.values()) / total
        count = following.get((*context, word), 0)
        kept = count - discount[min(count, 3)] if count else 0.0
        return kept / total + gamma * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equals_the_definition_written_with_dictionaries(order: int) -> None:
    train, held_out = zipf(600, 12, 1), zipf(60, 12, 2)
    spans = [train[:250], train[250:251], train[251:600]]
    slow = Slow([span.tolist() for span in spans], order, vocab=15)  # three tokens never occur
    found = NGrams(spans, order, 15).log2_probabilities(held_out, order)
    words = held_out.tolist()
    for i in range(order - 1, len(words)):
        assert found[i] == pytest.approx(math.log2(slow.probability(tuple(words[:i]), words[i])), rel=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_lower_orders_of_a_larger_count_are_the_same_models(order: int) -> None:
    train, held_out = zipf(3000, 40, 1), zipf(100, 40, 2)
    together = NGrams([train[:1000], train[1000:]], 4, 40).log2_probabilities(held_out, order)
    np.testing.assert_array_equal(together, NGrams([train[:1000], train[1000:]], order, 40).log2_probabilities(held_out, order))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_sum_to_one_after_any_context(order: int) -> None:
    model = NGrams([zipf(500, 20, 3)], 4, 30)
    for context in ([], [1], [1, 2, 3], [29, 29, 29], zipf(500, 20, 3)[-3:].tolist(), zipf(500, 20, 3)[40:43].tolist()):
        total = sum(2 ** model.log2_probabilities(np.array([*context, word]), order)[-1] for word in range(30))
        assert total == pytest.approx(1, abs=1e-12)


def test_equals_nltk_where_the_two_definitions_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK has one fixed discount and none at the lowest order, and no n-gram crosses a text."""
    nltk_lm = pytest.importorskip("nltk.lm")
    train = zipf(2000, 15, 4)
    texts = [train[:900].tolist(), train[900:].tolist()]
    grams = [[tuple(map(str, t[i : i + n])) for n in (1, 2, 3) for i in range(len(t) - n + 1)] for t in texts]
    theirs = nltk_lm.KneserNeyInterpolated(3, discount=0.4)
    theirs.fit(grams, map(str, range(15)))

    lowest = len(np.unique(train))
    monkeypatch.setattr(ngram, "_discounts", lambda counts: [0.0] * 3 if len(counts) == lowest else [0.4] * 3)
    held_out = zipf(200, 15, 5)
    ours = NGrams([np.array(t) for t in texts], 3, 15).log2_probabilities(held_out, 3)
    words = list(map(str, held_out))
    expected = [theirs.logscore(words[i], words[i - 2 : i]) for i in range(2, len(words))]
    np.testing.assert_allclose(ours[2:], expected, rtol=1e-9)


def test_discounts_by_hand() -> None:
    # Four n-grams seen once, two twice, one three times, one four times: Y = 4 / (4 + 4) = 1/2.
    assert ngram._discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])) == [1 - 2 * 0.5 * 2 / 4, 2 - 3 * 0.5 * 1 / 2, 3 - 4 * 0.5 * 1 / 1]
    assert ngram._discounts(np.array([4, 5, 2])) == [0.5, 1.0, 1.5]


def test_a_large_vocabulary_does_not_overflow() -> None:
    train = zipf(2000, 50, 6) * 4000
    wide = NGrams([train], 4, 200_000).log2_probabilities(train[:300], 4)
    narrow = NGrams([train // 4000], 4, 50).log2_probabilities(train[:300] // 4000, 4)
    np.testing.assert_allclose(wide[3:], narrow[3:], atol=0.2)


def test_tokens_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 9, found 3 to 12"):
        NGrams([np.array([3, 12])], 2, 10)
