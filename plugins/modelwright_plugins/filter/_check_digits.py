"""Check digits that several numbers have."""

from __future__ import annotations

from random import Random


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, its digits added; the sum is a multiple of 10."""
    return sum(int(d) if place % 2 == 0 else sum(divmod(2 * int(d), 10)) for place, d in enumerate(reversed(number))) % 10 == 0


def with_luhn(number: str) -> str:
    return next(number + last for last in "0123456789" if luhn(number + last))


# The dihedral group of order 10
_D = [[(a + b) % 5 + (5 if b > 4 else 0) if a < 5 else (a - b) % 5 + (0 if b > 4 else 5) for b in range(10)] for a in range(10)]
_P = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    _P.append([_P[-1][_P[1][d]] for d in range(10)])


def verhoeff(number: str) -> bool:
    """Verhoeff 1969, 'Error detecting decimal codes'."""
    state = 0
    for place, digit in enumerate(reversed(number)):
        state = _D[state][_P[place % 8][int(digit)]]
    return state == 0


def digits(dice: Random, count: int) -> str:
    return "".join(dice.choices("0123456789", k=count))
