"""Documents whose middle is put last."""

from __future__ import annotations

import numpy as np

from modelwright_plugins.objective._pieces import Numbers, before, joined

MARKS = 3  # tokens that a rearranged document has more


def rearranged(text: Numbers, end: int, special: list[int], *, rate: float, spm: float, random: np.random.Generator) -> Numbers:
    """As many tokens as `text` has, whose documents are closed by `end`; `special` are the numbers of prefix, middle and suffix."""
    ends = np.flatnonzero(text == end)
    starts = np.concatenate([[0], ends + 1])
    lengths = np.concatenate([ends, [len(text)]]) - starts  # empty ones too: the ends stay
    moved = (random.random(len(starts)) < rate) & (lengths > 0)
    suffix_first = random.random(len(starts)) < spm
    while True:
        sizes = lengths + MARKS * moved + 1
        last = int(np.searchsorted(np.cumsum(sizes), len(text)))
        room = len(text) - int(before(sizes)[last])
        if not moved[last] or room > MARKS:
            break
        moved[last] = False  # there is no room for its marks and a token
    starts, lengths, moved, suffix_first = (each[: last + 1] for each in (starts, lengths, moved, suffix_first))
    closed = np.ones(last + 1, dtype=np.int64)
    closed[last] = room == sizes[last] and last < len(ends)
    lengths = np.append(lengths[:last], min(lengths[last], room - MARKS * moved[last]))
    low, high = np.sort(random.integers(0, lengths + 1, size=(2, last + 1)), axis=0)
    low, high = np.where(moved, low, 0), np.where(moved, high, 0)  # the others are all suffix, without marks
    mark = moved.astype(np.int64)
    prefix_mark, middle_mark, suffix_mark, end_mark = (np.full(last + 1, len(text) + place) for place in range(4))
    prefix, middle, suffix = (starts, low), (starts + low, high - low), (starts + high, lengths - high)
    psm = [(prefix_mark, mark), prefix, (suffix_mark, mark), suffix, (middle_mark, mark), middle, (end_mark, closed)]
    order = [(prefix_mark, mark), (suffix_mark, mark), suffix, (middle_mark, mark), prefix, middle, (end_mark, closed)]
    pieces = np.where(suffix_first, np.array(order).transpose(1, 0, 2), np.array(psm).transpose(1, 0, 2))  # [2, 7, documents]
    return joined(np.concatenate([text, special, [end]]), *pieces.transpose(0, 2, 1).reshape(2, -1))
