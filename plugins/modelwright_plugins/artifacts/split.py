"""Which groups are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def held_out_groups(sizes: Mapping[str, int], share: float) -> list[str]:
    """Groups, sorted, that together have about `share` of the bytes; `sizes` is group -> bytes.

    A function of its arguments only, not of the run's seed, so that runs with different seeds are compared on the same text.
    Groups come in the order of a hash of their names, and each is taken that still fits, so that one giant is never the whole of it.
    When none fits the smallest is taken; of one group alone nothing is held out.
    """
    if share == 0 or len(sizes) < 2:
        return []
    left = share * sum(sizes.values())
    chosen = []
    for group in sorted(sizes, key=lambda g: hashlib.blake2b(g.encode("utf-8", "surrogatepass")).digest()):
        if sizes[group] <= left:
            chosen.append(group)
            left -= sizes[group]
    return sorted(chosen) or [min(sizes, key=lambda g: (sizes[g], g))]
