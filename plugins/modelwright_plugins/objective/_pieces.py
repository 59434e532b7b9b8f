"""Texts put together from pieces of other texts, without a loop over tokens: what corruption costs must not be felt beside a step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def documents(text: NDArray[np.integer[Any]], end_of_document: int) -> tuple[Numbers, Numbers]:
    """(first place, length) of each document of `text` [length], without the end-of-document tokens; empty ones are left out."""
    ends = np.flatnonzero(text == end_of_document)
    starts = np.concatenate([[0], ends + 1])
    lengths = np.concatenate([ends, [len(text)]]) - starts
    return starts[lengths > 0], lengths[lengths > 0]


def before(lengths: NDArray[np.integer[Any]]) -> Numbers:
    """How much stands before each of these, which follow one another."""
    return np.cumsum(lengths) - lengths


def joined(source: Numbers, starts: Numbers, lengths: Numbers) -> Numbers:
    """The pieces source[start : start + length], one after another."""
    return source[np.repeat(starts - before(lengths), lengths) + np.arange(lengths.sum())]


def chosen(random: np.random.Generator, items: Numbers, picks: Numbers) -> NDArray[np.bool_]:
    """Of each group of items, so many picked at random, each set as likely as any other: [groups] and [groups] -> [sum of items]."""
    group = np.repeat(np.arange(len(items)), items)
    order = np.lexsort((random.random(len(group)), group))
    found = np.empty(len(group), dtype=bool)
    found[order] = np.arange(len(group)) - before(items)[group] < picks[group]
    return found


def segments(random: np.random.Generator, items: Numbers, parts: Numbers) -> Numbers:
    """Each group of items cut into so many parts of 1 item or more, each way as likely as any other: lengths [sum of parts]."""
    some = parts > 0
    items, parts = items[some], parts[some]
    first = np.zeros(items.sum(), dtype=bool)
    first[before(items)] = True
    first[~first] = chosen(random, items - 1, parts - 1)
    return np.diff(np.append(np.flatnonzero(first), len(first)))
