"""Powers of a number modulo 2^64, by which parts of a text have hashes that are a difference of two sums.

Of a text's characters c, the sum of c[i] * BASE^i up to each place is known once; that between two places, times BASE^-begin, is the
same wherever the part stands (Rabin and Karp's polynomial).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BASE = 0xD1342543DE82EF95  # odd, so that it has an inverse modulo 2^64
KEPT = 1 << 19  # characters: powers for texts up to this stay in memory, 4 MB twice; longer texts' are computed again each time
_kept: dict[str, Any] = {"count": 0}


def codes_of(text: str) -> NDArray[np.uint32]:
    """Each character's code point, lone surrogates too: [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def powers_to(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """BASE^i and BASE^-i modulo 2^64 for each i below `count`, and perhaps further."""
    if count <= _kept["count"]:
        return _kept["powers"], _kept["inverses"]
    many = min(max(4096, 2 * count), KEPT) if count <= KEPT else count
    found = []
    for base in (BASE, pow(BASE, -1, 2**64)):
        steps = np.full(many, base, np.uint64)
        steps[0] = 1
        found.append(np.cumprod(steps))
    if count <= KEPT:
        _kept.update(count=many, powers=found[0], inverses=found[1])
    return found[0], found[1]
