"""Settings that several quantizers have."""

from __future__ import annotations


def check(bits: int, group: int, *, matrix: bool = False) -> None:
    """ValueError: no such settings. `matrix`: all of a matrix may share one scale (-1)."""
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; it is 2 to 8")
    if group < (-1 if matrix else 0) or group == 1:
        told = ", 0 for a row or -1 for the whole matrix" if matrix else ", or 0 for a row"
        raise ValueError(f"group is {group}; it is a number of weights from 2 up{told}")
