"""Documents whose sentences are in another order, and whose spans are behind masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelwright_plugins.objective._pieces import Numbers, before, chosen, documents, joined
from modelwright_plugins.objective._two_sides import Side


def whole(text: Numbers, end: int, room: int) -> Side:
    """The documents of `text` as they are, as many as `room` takes with an end each; the last one is cut."""
    starts, lengths = documents(text, end)
    lengths = np.minimum(lengths, room - before(lengths + 1) - 1)
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    return joined(text, starts, lengths), lengths


def closed(side: Side, end: int) -> Side:
    """Each document with its end."""
    tokens, lengths = side
    found = np.full(len(tokens) + len(lengths), end)
    found[np.arange(len(tokens)) + np.repeat(np.arange(len(lengths)), lengths)] = tokens
    return found, lengths + 1


def permuted(side: Side, pieces: Sequence[str], random: np.random.Generator) -> Side:
    """Each document with its sentences in a random order; `pieces` are the texts of tokens."""
    tokens, lengths = side
    last = np.fromiter((pieces[token].rstrip().endswith(".") for token in tokens.tolist()), bool, len(tokens))
    last[np.cumsum(lengths) - 1] = True
    stops = np.flatnonzero(last) + 1
    starts = np.concatenate([[0], stops[:-1]])
    document = np.repeat(np.arange(len(lengths)), lengths)[starts]
    order = np.lexsort((random.random(len(starts)), document))
    return joined(tokens, starts[order], (stops - starts)[order]), lengths


SPARE = 8  # spans that are drawn beyond as many as there are tokens to hide, as some are of length 0


def infilled(side: Side, mask: int, *, rate: float, mean: float, random: np.random.Generator) -> Side:
    """Each document with spans behind masks; spans of length 0 that would make it longer than it was are left out."""
    tokens, lengths = side
    hidden = np.rint(lengths * rate).astype(np.int64)
    drawn = random.poisson(mean, size=(len(lengths), int(hidden.max(initial=0)) + SPARE))
    earlier = np.cumsum(drawn, 1) - drawn
    used = earlier < hidden[:, None]
    spans = np.where(used, np.minimum(drawn, hidden[:, None] - earlier), 0)
    inserted = used & (spans == 0)
    spare = spans.sum(1) - (spans > 0).sum(1)
    used &= ~inserted | (np.cumsum(inserted, 1) <= spare[:, None])
    masks = used.sum(1)
    items = lengths - spans.sum(1) + masks
    masked = chosen(random, items, masks)
    size = np.ones(items.sum(), dtype=np.int64)
    size[masked] = spans[used]  # tokens of the document that each item stands for; documents follow one another in both
    found = np.full(len(size), mask)
    found[~masked] = tokens[before(size)[~masked]]
    return found, items
