"""A model of words with modified Kneser-Ney smoothing, estimated from lines."""

from __future__ import annotations

from collections import Counter

import numpy as np

from modelwright_plugins.evaluator.ngram import NGrams, _discounts
from modelwright_plugins.filter._arpa import BEGIN, END, UNKNOWN, Backoff, Level

ZERO = -99.0  # log10 of the probability of <s>, which is never asked for


def estimate(lines: list[list[str]], order: int, vocabulary: int) -> Backoff:
    """Interpolated modified Kneser-Ney (Chen & Goodman 1999, equations 9 to 11) as a back-off model, which it is exactly: the weight of
    a context is what its discounts free, and a probability is stored with the shorter contexts' share in it.

    As in KenLM (Heafield et al. 2013), n-grams that begin a line count as often as they are there, for nothing can precede them. Words
    beyond the most frequent `vocabulary` are <unk>, which has its share of the uniform distribution too. ValueError: there are no words.
    """
    counts = Counter(word for line in lines for word in line)
    if not counts:
        raise ValueError("train_on: it has no text")
    known = {UNKNOWN: 0, BEGIN: 1, END: 2}
    for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:vocabulary]:
        known.setdefault(word, len(known))
    size = len(known)
    spans = [np.array([1, *(known.get(word, 0) for word in line), 2]) for line in lines]
    every = NGrams(spans, order, size).orders
    order = max(n for n, level in enumerate(every, 1) if len(level.keys))

    keys = every[0].keys
    weights = (every[0].counts if order == 1 else every[0].continuations) * (keys != 1)
    taken = _taken(weights)
    uniform = np.where(np.arange(size) == 1, 0.0, 1 / (size - 1))
    everyone = uniform * taken.sum() / weights.sum()
    everyone[keys] += (weights - taken) / weights.sum()
    log10 = np.log10(everyone, out=np.full(size, ZERO), where=everyone > 0)
    levels = [Level(np.arange(size), log10, np.zeros(size))]

    chance, begins, suffix = everyone[keys], keys == 1, np.zeros(len(keys), np.int64)
    for n in range(2, order + 1):
        level, shorter = every[n - 1], every[n - 2]
        context, last = level.keys // size, level.keys % size
        begins = begins[context]
        weights = level.counts if n == order else np.where(begins, level.counts, level.continuations)
        taken = _taken(weights)
        total, freed = (np.bincount(context, values, len(shorter.keys)) for values in (weights, taken))
        suffix = np.searchsorted(shorter.keys, suffix[context] * size + last)  # each n-gram without its first word
        chance = (weights - taken + freed[context] * chance[suffix]) / total[context]
        backoff = np.zeros(len(total))
        there = total > 0
        backoff[there] = np.log10(freed[there] / total[there])
        if n == 2:
            all_words = np.zeros(size)
            all_words[keys] = backoff
            levels[0] = Level(levels[0].keys, levels[0].log10, all_words)
        else:
            levels[-1] = Level(levels[-1].keys, levels[-1].log10, backoff)
        names = keys[context] if n == 2 else context  # of a single word: itself
        levels.append(Level(names * size + last, np.log10(chance), np.zeros(len(last))))
    return Backoff(known, levels)


def _taken(weights: np.ndarray) -> np.ndarray:
    """What is taken from each count."""
    taken: np.ndarray = np.array([0.0, *_discounts(weights)])[np.minimum(weights, 3)]
    return taken
