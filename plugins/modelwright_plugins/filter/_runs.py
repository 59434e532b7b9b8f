"""Hashes of runs of words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASE = np.uint64(0x9E3779B97F4A7C15)


def runs(ids: NDArray[np.int64], lengths: list[int]) -> Iterator[tuple[int, Any]]:
    """Each of the ascending lengths n with the hashes of each n words in a row, [len(ids) - n + 1] uint64."""
    mixed = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(31)
    total = np.zeros(len(ids), np.uint64)
    for n in range(1, min(lengths[-1], len(ids)) + 1):
        total = total[: len(ids) - n + 1] * BASE + mixed[n - 1 :]
        if n in lengths:
            yield n, total
