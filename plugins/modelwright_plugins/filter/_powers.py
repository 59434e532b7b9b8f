"""Powers of a number modulo 2**64, by which a text's parts have hashes that are a difference of two sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
MIX = np.uint64(0xD6E8FEB86659FD93)
KEPT = 2**18  # characters: the powers for texts up to this are kept
_powers: dict[str, Any] = {"count": 0}


def codes_of(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def powers_to(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """BASE to the power of 0, 1, ... modulo 2**64, and the inverses of these, mixed."""
    if count <= _powers["count"]:
        return _powers["powers"], _powers["inverses"]
    many = max(4096, 2 * count) if count <= KEPT else count
    steps = np.full(many, BASE, np.uint64)
    steps[0] = 1
    powers = np.cumprod(steps)
    steps[1:] = pow(BASE, -1, 2**64)
    inverses = np.cumprod(steps) * MIX
    if count <= KEPT:
        _powers.update(count=many, powers=powers, inverses=inverses)
    return powers, inverses
