"""Numbers that states give to people: what they look like, their check digits, and how to make one up.

Each country's rule is its published one; python-stdnum's, written by others, decides the same (tests/plugins/filter/test_national_ids.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random

from modelwright_plugins.filter._check_digits import digits, luhn, verhoeff, with_luhn


@dataclass(frozen=True)
class National:
    """One country's number; `valid` and `make` are of its letters and digits without what is between them."""

    shape: re.Pattern[str]  # matched where a number or an upper-case word begins
    valid: Callable[[str], bool]
    make: Callable[[Random], str]
    near: re.Pattern[str] | None = None  # must stand shortly before it: one in ten numbers of this shape passes the check by chance
    fixed: int | None = None  # a place in the match that `valid` and `make` don't count


def _day(year: int, month: str, day: str) -> bool:
    try:
        return bool(date(year, int(month), int(day)))
    except ValueError:
        return False


def _born(dice: Random) -> date:
    return date.fromordinal(dice.randint(date(1940, 1, 1).toordinal(), date(1999, 12, 31).toordinal()))


def _weighted(number: str, weights: tuple[int, ...]) -> int:
    return sum(int(d) * w for d, w in zip(number, weights, strict=True))


# Spain: the remainder by 23 is a letter; X, Y, Z of foreigners are 0, 1, 2 (Real Decreto 1553/2005)
_ES = "TRWAGMYFPDXBNJZSQVHLCKE"


def _es(number: str) -> bool:
    return _ES[int(number[:-1].translate({88: "0", 89: "1", 90: "2"})) % 23] == number[-1]


# Italy: the values of letters and digits at odd places, from the first (D.M. 12 March 1974, art. 7)
_IT_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


def _it_letter(first: str) -> str:
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in first[1::2])
    return chr(65 + (even + sum(_IT_ODD[c] for c in first[::2])) % 26)


def _it_make(dice: Random) -> str:
    born = _born(dice)
    name = "".join(dice.choices("BCDFGLMNPRSTV", k=6))
    first = f"{name}{born:%y}{'ABCDEHLMPRST'[born.month - 1]}{born.day:02d}{dice.choice('ABCDEFGHIL')}{dice.randint(100, 990)}"
    return first + _it_letter(first)


def _fr(number: str) -> bool:
    body = number[:13].replace("2A", "19", 1).replace("2B", "18", 1) if number[5:7] in ("2A", "2B") else number[:13]
    return 97 - int(body) % 97 == int(number[13:])


def _fr_make(dice: Random) -> str:
    born = _born(dice)
    body = f"{dice.choice('12')}{born:%y%m}{dice.randint(21, 95):02d}{dice.randint(1, 990):03d}{dice.randint(1, 999):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def _be(number: str) -> bool:
    """Those born from 2000 on have a 2 before it when it is checked."""
    return any(
        97 - int(before + number[:9]) % 97 == int(number[9:]) and _day(century + int(number[:2]), number[2:4], number[4:6])
        for before, century in (("", 1900), ("2", 2000))
        if century + int(number[:2]) <= date.today().year
    )


def _be_make(dice: Random) -> str:
    body = f"{_born(dice):%y%m%d}{dice.randint(1, 997):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def _pl(number: str) -> bool:
    month = int(number[2:4])
    year = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20] + int(number[:2])
    return _weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0 and _day(year, str(month % 20), number[4:6])


def _pl_make(dice: Random) -> str:
    body = f"{_born(dice):%y%m%d}{digits(dice, 4)}"
    return body + str(-_weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def _nl(number: str) -> bool:
    return int(number) > 0 and _weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _nl_make(dice: Random) -> str:
    while True:
        body = f"{dice.randint(1, 3)}{digits(dice, 7)}"
        if (last := _weighted(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11) < 10:
            return f"{body}{last}"


def _se(number: str) -> bool:
    body = number[-10:]
    years = [int(number[:4])] if len(number) == 12 else [1900 + int(body[:2]), 2000 + int(body[:2])]
    return luhn(body) and any(_day(year, body[2:4], body[4:6]) for year in years)


_FI = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def _fi(number: str) -> bool:
    real = any(_day(century + int(number[4:6]), number[2:4], number[:2]) for century in (1800, 1900, 2000))
    return _FI[int(number[:9]) % 31] == number[9] and real and int(number[6:9]) >= 2


def _fi_make(dice: Random) -> str:
    body = f"{_born(dice):%d%m%y}{dice.randint(2, 899):03d}"
    return body + _FI[int(body) % 31]


def _br_check(body: str) -> str:
    for _ in range(2):
        body += str(_weighted(body, tuple(range(len(body) + 1, 1, -1))) * 10 % 11 % 10)
    return body


def _br(number: str) -> bool:
    return len({*number}) > 1 and _br_check(number[:9]) == number


_CN = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # ISO 7064, MOD 11-2 (GB 11643-1999)


def _cn(number: str) -> bool:
    return "10X98765432"[_weighted(number[:17], _CN) % 11] == number[17] and _day(int(number[6:10]), number[10:12], number[12:14])


def _cn_make(dice: Random) -> str:
    body = f"{dice.choice(('110101', '310101'))}{_born(dice):%Y%m%d}{dice.randint(1, 999):03d}"
    return body + "10X98765432"[_weighted(body, _CN) % 11]


def _kr(number: str) -> bool:
    century = 2000 if number[6] in "3478" else 1900
    check = (11 - _weighted(number[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return check == int(number[12]) and number[6] in "12345678" and _day(century + int(number[:2]), number[2:4], number[4:6])


def _kr_make(dice: Random) -> str:
    body = f"{_born(dice):%y%m%d}{dice.choice('12')}{dice.randint(0, 95):02d}{digits(dice, 3)}"
    return body + str((11 - _weighted(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10)


def _in_make(dice: Random) -> str:
    body = f"{dice.randint(2, 9)}{digits(dice, 10)}"
    return next(body + last for last in "0123456789" if verhoeff(body + last))


def _us(number: str) -> bool:
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def _us_make(dice: Random) -> str:
    return f"{dice.randint(1, 665):03d}{dice.randint(1, 99):02d}{dice.randint(1, 9999):04d}"


def _gb(number: str) -> bool:
    return number[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _gb_make(dice: Random) -> str:
    return f"{dice.choice('ABCEHJKLMPRSTWXY')}{dice.choice('ABCEHJLMPRSWXY')}{digits(dice, 6)}{dice.choice('ABCD')}"


def _es_make(dice: Random) -> str:
    body = f"{dice.randint(10_000_000, 79_999_999)}"
    return body + _ES[int(body) % 23]


def _nie_make(dice: Random) -> str:
    body = f"{dice.choice('XYZ')}{digits(dice, 7)}"
    return body + _ES[int(body.translate({88: "0", 89: "1", 90: "2"})) % 23]


END = r"(?![A-Za-z0-9_])(?!-\d)"


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + END)


def _near(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.I)


NATIONAL: dict[str, tuple[National, ...]] = {
    "be": (National(_shape(r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"), _be, _be_make),),
    "br": (
        National(_shape(r"\d{3}\.\d{3}\.\d{3}-\d\d"), _br, lambda dice: _br_check(digits(dice, 9))),
        National(_shape(r"\d{11}"), _br, lambda dice: _br_check(digits(dice, 9)), _near(r"\bCPF\b")),
    ),
    "ca": (
        National(
            _shape(r"[1-9]\d\d([ -]?)\d{3}\1\d{3}"),
            luhn,
            lambda dice: with_luhn(f"{dice.randint(1, 7)}{digits(dice, 7)}"),
            _near(r"\bSIN\b|social insurance|\bNAS\b|assurance sociale"),
        ),
    ),
    "cn": (National(_shape(r"[1-9]\d{5}(?:19|20)\d{9}[\dX]"), _cn, _cn_make),),
    "es": (
        National(_shape(r"\d{8}-?[A-Z]"), _es, _es_make),
        National(_shape(r"[XYZ]-?\d{7}-?[A-Z]"), _es, _nie_make),
    ),
    "fi": (National(_shape(r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]"), _fi, _fi_make, fixed=6),),
    "fr": (National(_shape(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"), _fr, _fr_make),),
    "gb": (
        National(_shape(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d\d \d\d \d\d [A-D]"), _gb, _gb_make),
        National(
            _shape(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"), _gb, _gb_make, _near(r"national insurance|\bNINO\b|\bNI (?:no|num)")
        ),
    ),
    "in": (National(_shape(r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}"), verhoeff, _in_make, _near(r"aadha+r|uidai|आधार")),),
    "it": (
        National(_shape(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]"), lambda number: _it_letter(number[:15]) == number[15], _it_make),
    ),
    "kr": (National(_shape(r"\d{6}-[1-8]\d{6}"), _kr, _kr_make),),
    "nl": (National(_shape(r"\d{9}|\d{4}\.\d\d\.\d{3}"), _nl, _nl_make, _near(r"\bBSN\b|burgerservice|sofi-?nummer")),),
    "pl": (National(_shape(r"\d{11}"), _pl, _pl_make, _near(r"PESEL")),),
    "se": (National(_shape(r"(?:19|20)?\d{6}[-+]\d{4}"), _se, lambda dice: with_luhn(f"{_born(dice):%y%m%d}{digits(dice, 3)}")),),
    "us": (National(_shape(r"\d{3}-\d\d-\d{4}"), _us, _us_make),),
}
