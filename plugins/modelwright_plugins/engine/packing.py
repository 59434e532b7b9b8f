"""Which rows stand in one sequence: planned once, before training, from their lengths alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def packed(lengths: NDArray[np.int64], room: int) -> list[list[int]]:
    """Rows by sequence of `room` positions: best fit, longest first (Johnson 1973), at most 22 % more sequences than the fewest. A row
    stands whole in one; each must fit, and rows of no length are left out. Rows of a sequence are in their own order."""
    sequences: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(room + 1)]  # sequences, by the positions that are left
    there = 0  # bit n: some sequence has n positions left
    for row in np.argsort(-lengths, kind="stable"):
        if not (length := int(lengths[row])):
            continue
        fits = there >> length
        left = length + (fits & -fits).bit_length() - 1 if fits else room  # the least that is enough, or a new sequence
        if fits:
            sequence = with_room[left].pop()
            if not with_room[left]:
                there &= ~(1 << left)
        else:
            sequence = len(sequences)
            sequences.append([])
        sequences[sequence].append(int(row))
        with_room[left - length].append(sequence)
        there |= 1 << (left - length)
    return [sorted(rows) for rows in sequences]
