"""Settings that several quantizers have."""

from __future__ import annotations

import math

from modelwright.errors import ModelwrightError


def check(bits: int, group: int, *, matrix: bool = False) -> None:
    """ValueError: no such settings. `matrix`: all of a matrix may share one scale (-1)."""
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; it is 2 to 8")
    if group < (-1 if matrix else 0) or group == 1:
        told = ", 0 for a row or -1 for the whole matrix" if matrix else ", or 0 for a row"
        raise ValueError(f"group is {group}; it is a number of weights from 2 up{told}")


def check_inputs(inputs: int, group: int = 0, bits: int = 8, ranks: int = 1, *, name: str = "group") -> None:
    """ModelwrightError: groups don't fill the rows of a matrix, or straddle tensor ranks that share its inputs out (one group may: each has
    its scale), or codes don't fill their bytes: 2 codes at a time at 4 bits, 8 at 3."""
    if group > 0 and inputs % group:
        raise ModelwrightError(f"quantizer.{name}={group} does not divide the {inputs} inputs of a matrix")
    if group > 0 and (groups := inputs // group) > 1 and groups % ranks:
        raise ModelwrightError(
            f"quantizer.{name}={group} does not divide the {inputs / ranks:g} inputs that each of {ranks} tensor ranks has"
        )
    if inputs // ranks % (each := 8 // math.gcd(8, bits)):
        part = f"a part of a matrix on one of {ranks} tensor ranks" if ranks > 1 else "a matrix"
        raise ModelwrightError(f"{part} with {inputs // ranks} inputs can't be kept in {bits} bits: they are not a multiple of {each}")
