"""Kneser-Ney n-gram models over token ids, counted and evaluated with sorted arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.integer[Any]]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, as a level of a trie: an n-gram is named by its place among the sorted keys."""

    keys: Ints  # sorted: (name of its first n - 1 tokens) * vocab_size + last token
    counts: Ints  # occurrences of each
    continuations: Ints  # different tokens seen before each; empty at the highest order


class NGrams:
    """The counts of all n-grams up to `order`, and the models of each order up to it.

    The model of order n is interpolated Kneser-Ney with three discounts, "modified" (Chen & Goodman 1999, "An empirical
    study of smoothing techniques for language modeling", equations 9 to 11): raw counts at order n, numbers of different
    preceding tokens below it, and the uniform distribution below order 1, so that no token has probability zero.
    """

    def __init__(self, spans: list[Tokens], order: int, vocab_size: int) -> None:
        """Count in `spans`: arrays of consecutive tokens; no n-gram reaches over the end of one."""
        import numpy as np

        self.vocab_size = vocab_size
        tokens = np.concatenate(spans).astype(np.int64)
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
            raise ValueError(f"tokens: expected 0 to {vocab_size - 1}, found {tokens.min()} to {tokens.max()}")
        # How many tokens of its own span come before each token.
        before = np.concatenate([np.arange(len(span)) for span in spans])
        self.orders: list[_Order] = []
        names = np.zeros(len(tokens), np.int64)  # of the (n - 1)-gram that ends at each token; there is one empty one
        for n in range(1, order + 1):
            whole = np.flatnonzero(before >= n - 1)
            context = names[whole - 1] if n > 1 else names[whole]
            keys, name, counts = np.unique(context * vocab_size + tokens[whole], return_inverse=True, return_counts=True)
            if n > 1:  # each n-gram type is one continuation of the (n - 1)-gram that it ends in
                suffix = np.empty(len(keys), np.int64)
                suffix[name] = names[whole]
                continuations = np.bincount(suffix, minlength=len(self.orders[-1].keys))
                self.orders[-1] = _Order(self.orders[-1].keys, self.orders[-1].counts, continuations)
            names[whole] = name
            self.orders.append(_Order(keys, counts.astype(np.int64), np.empty(0, np.int64)))

    def log2_probabilities(self, tokens: Tokens, order: int, start: int = 0) -> Floats:
        """log2 of the probability of each of `tokens[start:]` after the `order - 1` tokens before it (fewer at the beginning)."""
        import numpy as np

        tokens = tokens.astype(np.int64)
        chance: Floats = np.full(len(tokens), 1 / self.vocab_size)
        context = np.zeros(len(tokens), np.int64)  # name of the context of each token at this level, -1 if it was never seen
        for n in range(1, order + 1):
            level = self.orders[n - 1]
            name = np.where(context >= 0, _find(level.keys, context * self.vocab_size + tokens), -1)
            counts = level.counts if n == order else level.continuations
            chance = self._interpolate(level.keys // self.vocab_size, counts, context, name, chance)
            # The next level's context of a token is the n-gram that ends just before it.
            context = np.concatenate([[-1], name[:-1]])
        found: Floats = np.log2(chance[start:])
        return found

    @staticmethod
    def _interpolate(contexts: Ints, counts: Ints, context: Ints, name: Ints, lower: Floats) -> Floats:
        """Chen & Goodman's equation 10: (c - D(c)) / c(context) + gamma(context) * lower."""
        import numpy as np

        if not len(counts):
            return lower
        discounts = np.concatenate([[0.0], _discounts(counts)])
        taken = discounts[np.minimum(counts, 3)]
        size = int(contexts[-1]) + 1
        total = np.bincount(contexts, counts, size)
        gamma = np.bincount(contexts, taken, size)
        # A context that was never seen, or never with anything after it, leaves the word to the lower order.
        known = (context >= 0) & (context < size)
        known[known] = total[context[known]] > 0
        kept = np.where(name >= 0, (counts - taken)[name], 0.0)
        at = context[known]
        chance = lower.copy()
        chance[known] = (kept[known] + gamma[at] * lower[known]) / total[at]
        return chance


def _find(keys: Ints, wanted: Ints) -> Ints:
    """The place of each of `wanted` in the sorted `keys`, or -1."""
    import numpy as np

    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _discounts(counts: Ints) -> list[float]:
    """What to take from a count of 1, of 2, and of 3 or more (Chen & Goodman's equation 11), each within [0, its count].

    Where a count of 1, 2 or 3 never occurs the estimate does not exist, and KenLM's fallback is taken (Heafield 2013,
    `--discount_fallback`): 0.5, 1, 1.5.
    """
    import numpy as np

    n1, n2, n3, n4 = (int(n) for n in np.bincount(np.minimum(counts, 5), minlength=6)[1:5])
    if not (n1 and n2 and n3):
        return [0.5, 1.0, 1.5]
    y = n1 / (n1 + 2 * n2)
    found = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return [min(max(discount, 0.0), count) for count, discount in enumerate(found, 1)]
