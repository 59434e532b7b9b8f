"""Settings that several quantizers have."""

from __future__ import annotations


def check(bits: int, group: int, fewest: int = 2) -> None:
    """ValueError: no such settings."""
    if not fewest <= bits <= 8:
        raise ValueError(f"bits is {bits}; it is {fewest} to 8")
    if group < -1 or group == 1:
        raise ValueError(f"group is {group}; it is a number of weights from 2 up, 0 for a row or -1 for the whole matrix")
