"""Numbers of parameters, tokens and operations, as people write them."""

from __future__ import annotations

import math
import re

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def number(text: str) -> float:
    """A positive number: 1.2e9, 1_200_000 or 1.2B (k, M, B or G, T). Raises ValueError that says what it is instead."""
    match = re.fullmatch(r"([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kKmMbBgGtT]?)", text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a number" if text.strip() else "empty")
    value = float(match[1]) * UNITS[match[2].lower()]
    if not 0 < value < math.inf:
        raise ValueError(f"{text.strip()} is not a positive, finite number")
    return value


def short(value: float) -> str:
    """1234567 -> 1.23M; with an exponent from 1e15 on."""
    value = float(f"{value:.3g}")
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if unit <= value < 1e15:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}" if value < 1e15 else power(value)


def power(value: float) -> str:
    """5.88e23: operations, which nobody counts in units."""
    digits, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}" if math.isfinite(value) else digits
