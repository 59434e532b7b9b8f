"""Finding the answer in a reply, and telling whether two answers are the same."""

from __future__ import annotations

import re
from fractions import Fraction

LONGEST = 100  # characters of a number; longer ones are texts, so that no reply makes a number that takes hours to compute
FOUND = re.compile(
    r"(?<![\w.])(?:(?<![\w)])[-−])?"  # a minus belongs to a number only where nothing stands before it
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\d))?(?:/\d+(?![\d.]))?"
)
ONE = r"(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:e[-+]?\d{1,3})?"
WHOLE = re.compile(rf"([-+]?(?=\.?\d){ONE})(?:/((?=\.?\d){ONE}))?")
FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
TEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}")


def after_hashes(text: str) -> str | None:
    """What stands after the last "####", to the end of its line (GSM8K: Cobbe et al. 2021, arXiv:2110.14168)."""
    _, found, rest = text.rpartition("####")
    return rest.strip().split("\n", 1)[0].strip() or None if found else None


def boxed(text: str) -> str | None:
    """What is in the last \\boxed{…} (MATH: Hendrycks et al. 2021, arXiv:2103.03874), braces in it balanced."""
    begin = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if begin < 0:
        return None
    begin = text.index("{", begin) + 1
    depth = 1
    for place in range(begin, len(text)):
        if text[place - 1] == "\\":
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place].strip() or None
    return None


def numbers(text: str) -> list[str]:
    """The numbers in a text: 1,080 and 3.50 and -7 and 1/2 and 2e3. In "10-3" there are 10 and 3, in "x2" there is none."""
    return [match.group() for match in FOUND.finditer(text)]


def last_number(text: str) -> str | None:
    found = numbers(text)
    return found[-1] if found else None


def plain(text: str) -> str:
    """Without what does not tell answers apart: blanks, case, TeX's marks, money and percent signs, a full stop at the end."""
    text = text.strip().strip("$").replace("\\$", "").replace("\\%", "").replace("−", "-")
    text = re.sub(r"\\[!,;: ]|\\left|\\right|~", "", text)
    text = FRACTION.sub(r"\1/\2", TEX.sub(r"\1", text))
    text = re.sub(r"[$€£¥%]", "", text)
    return " ".join(text.split()).strip("\"'`* ").rstrip(".").rstrip().casefold()


def value(text: str) -> Fraction | None:
    """The number that this is, exactly; None: it is none. 1,080.00 is 1080; 1/2 is 0.5; 1,08 is none."""
    text = plain(text).replace(" ", "")
    if len(text) > LONGEST or not (match := WHOLE.fullmatch(text)):
        return None
    above, below = match.group(1).replace(",", ""), match.group(2)
    divisor = Fraction(below.replace(",", "")) if below else Fraction(1)
    return Fraction(above) / divisor if divisor else None


def same(one: str, other: str) -> bool:
    """Whether two answers say the same: equal as numbers where both are numbers, otherwise as plain texts."""
    first, second = value(one), value(other)
    return first == second if first is not None and second is not None else plain(one) == plain(other)
