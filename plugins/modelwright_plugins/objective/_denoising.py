"""Spans of documents that are taken out, leave a sentinel, and are to be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.objective._pieces import Numbers, before, documents, joined, segments
from modelwright_plugins.objective._two_sides import Side

Reals = NDArray[np.floating[Any]]


def counts(lengths: Numbers, density: Reals | float, mean: Reals | float) -> tuple[Numbers, Numbers]:
    """(tokens taken out, in how many spans) of documents of these lengths, as in T5's random_spans_noise_mask; none of a single token."""
    noise = np.where(lengths > 1, np.clip(np.rint(lengths * density), 1, np.maximum(lengths - 1, 1)), 0)
    spans = np.minimum(np.clip(np.rint(noise / mean), 1, None), np.minimum(noise, lengths - noise))
    return noise.astype(np.int64), np.where(lengths > 1, spans, 0).astype(np.int64)


def sizes(lengths: Numbers, density: Reals | float, mean: Reals | float, extra: int) -> tuple[Numbers, Numbers]:
    """(tokens given, targets) of each document: what stays and `extra`, what is taken out; both with the sentinels and an end."""
    noise, spans = counts(lengths, density, mean)
    return lengths - noise + spans + 1 + extra, noise + spans + 1


@lru_cache
def most_text(length: int, density: float, mean: float, extra: int, together: bool) -> int:
    """The longest document whose tokens given, or with `together` those and its targets in one sequence, are no more than `length`."""
    tried = np.arange(1, math.ceil(length / (1 - density)) + 2)
    given, targets = sizes(tried, density, mean, extra)
    return int(tried[(given + targets - 1 if together else given) <= length].max(initial=1))


@lru_cache
def most_targets(length: int, denoisers: tuple[tuple[float, float, str | None], ...]) -> int:
    """Targets of a document of this length, by the denoiser that makes the most."""
    return max(int(sizes(np.array(length), density, mean, 0)[1]) for density, mean, _ in denoisers)


def fitted(lengths: Numbers, density: Reals, mean: Reals, extra: int, limits: tuple[int, int] | int) -> Numbers:
    """Lengths of the first documents that the limits (of each side, or of both in one sequence) have room for: the last is cut."""

    def used(lengths: Numbers, density: Reals, mean: Reals) -> Numbers:
        both = np.stack(sizes(lengths, density, mean, extra))
        return both.sum(0, keepdims=True) - 1 if isinstance(limits, int) else both

    room = np.reshape(limits, (-1, 1))
    whole = int((np.cumsum(used(lengths, density, mean), 1) <= room).all(0).sum())
    if whole == len(lengths):
        return lengths
    left = room - used(lengths[:whole], density[:whole], mean[:whole]).sum(1, keepdims=True)
    cut, longest = 0, int(lengths[whole])
    for step in (math.isqrt(longest) + 1, 1):  # what is used never falls with the length
        tried = np.arange(cut + step, min(longest, cut + step * (math.isqrt(longest) + 2)), step)
        cut += step * int((used(tried, density[whole], mean[whole]) <= left).all(0).sum())
    return np.append(lengths[:whole], cut) if cut else lengths[:whole]


def denoising(
    text: Numbers,
    end: int,
    sentinels: Sequence[int],
    denoisers: Sequence[tuple[float, float, int | None]],
    limits: tuple[int, int] | int,
    random: np.random.Generator,
) -> tuple[Side, Side]:
    """What is given of the documents in `text`, and the targets. Each document draws one of the denoisers: (share of tokens that are taken
    out, mean length of a span, token that begins what is given). With a mean without end there is one span, the end of the document."""
    starts, lengths = documents(text, end)
    which = random.integers(len(denoisers), size=len(starts))
    density, mean = (np.array([each[place] for each in denoisers], dtype=float)[which] for place in (0, 1))
    modes = [each[2] for each in denoisers if each[2] is not None]
    lengths = fitted(lengths, density, mean, 1 if modes else 0, limits)
    count = len(lengths)
    noise, spans = counts(lengths, density[:count], mean[:count])
    alone = spans == 0  # documents of one token
    parts = spans + alone
    stays = segments(random, lengths - noise, parts)
    goes = np.zeros(parts.sum(), dtype=np.int64)
    goes[np.repeat(~alone, parts)] = segments(random, noise, spans)
    document = np.repeat(np.arange(count), parts)
    place = np.arange(len(document)) - before(parts)[document]
    begin = before(stays + goes) + (starts[:count] - before(lengths))[document]
    source = np.concatenate([text, sentinels, modes, [end]])
    sentinel = np.stack([len(text) + place, goes > 0])
    first = before(2 * parts + 2)  # each document: mode, pairs, end
    where, last = first[document] + 1 + 2 * place, first + 2 * parts + 1

    def side(mode: Numbers, one: Any, two: Any) -> Side:
        pieces = np.zeros((2, 2 * (len(document) + count)), dtype=np.int64)
        pieces[:, first] = mode
        pieces[:, where], pieces[:, where + 1] = one, two
        pieces[:, last] = [[len(source) - 1], [1]]
        return joined(source, *pieces), np.add.reduceat(pieces[1], first) if count else np.zeros(0, dtype=np.int64)

    mode = np.stack([len(text) + len(sentinels) + (which[:count] if modes else 0 * lengths), np.full(count, 1 if modes else 0)])
    return side(mode, [begin, stays], sentinel), side(0 * mode, sentinel, [begin + stays, goes])
