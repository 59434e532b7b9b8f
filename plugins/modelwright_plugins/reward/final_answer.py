"""Finding the answer in a reply, and telling whether two answers are the same."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

Find = Literal["any", "hashes", "boxed", "phrase", "last_number", "whole"]

LONGEST = 100  # characters of a number; longer ones are texts, so that no reply makes a number that takes hours to compute
FOUND = re.compile(
    r"(?<![\w.])(?:(?<![\w)])[-−])?"  # a minus belongs to a number only where nothing stands before it
    r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3}(?!\d))?(?:/\d+(?![\d.]))?"
)
ONE = r"(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:e[-+]?\d{1,3})?"
WHOLE = re.compile(rf"([-+]?(?=\.?\d){ONE})(?:/((?=\.?\d){ONE}))?")
MIXED = re.compile(r"([-+]?)(\d+) (\d+)/(\d+)")  # 1 1/2
POWER = re.compile(rf"([-+]?)(?:((?=\.?\d){ONE}) ?(?:\\times|\\cdot|×|\*) ?)?(\d{{1,9}})\^(?:\{{([-+]?\d{{1,3}})\}}|([-+]?\d{{1,3}}))")
GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)")  # 1 080 000
FRACTION = re.compile(r"(\d ?)?\\[cdt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))(?=( ?\d)?)")
ALONE = re.compile(r"[-+]?[\d.,]*|[a-zA-Z]|\\[a-zA-Z]+")  # above or below a bar, what needs no brackets beside a /
PHRASE = re.compile(r"\banswer\s*(?:is|:)[\s:]*", re.IGNORECASE)
TEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}")


def after_hashes(text: str) -> str | None:
    """What stands after the last "####", to the end of its line (GSM8K: Cobbe et al. 2021, arXiv:2110.14168)."""
    _, found, rest = text.rpartition("####")
    return rest.strip().split("\n", 1)[0].strip() or None if found else None


def after_phrase(text: str) -> str | None:
    """What stands after the last "the answer is", to the end of its sentence (Wei et al. 2022, arXiv:2201.11903, appendix G)."""
    if not (ends := [match.end() for match in PHRASE.finditer(text)]):
        return None
    return re.split(r"\n|[.!?](?=\s|$)", text[ends[-1] :], maxsplit=1)[0].strip() or None


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
    """Without what does not tell answers apart: case, TeX's marks, money, percent and degree signs, a full stop at the end."""
    text = text.strip().strip("$").replace("\\$", "").replace("\\%", "").replace("−", "-").replace("{,}", ",")
    text = re.sub(r"\\!|\\left|\\right|\^\s*(?:\{\s*\\circ\s*\}|\\circ)|°", "", text)
    text = re.sub(r"\\[,;: ]|~", " ", text)
    text = FRACTION.sub(_beside, TEX.sub(r"\1", text))
    text = re.sub(r"[$€£¥%]", "", text)
    return " ".join(text.split()).strip("\"'`* ").rstrip(".").rstrip().casefold()


def _beside(match: re.Match[str]) -> str:
    """A fraction of TeX as a/b: with brackets where it would read otherwise, a blank to the digits around it: 1 1/2 is no 11/2."""
    before, above, digit, below, other, after = match.groups()
    over, under = (each if ALONE.fullmatch(each := part.strip()) else f"({each})" for part in (above or digit or "", below or other or ""))
    return f"{before.strip() + ' ' if before else ''}{over}/{under}{' ' if after else ''}"


def value(text: str) -> Fraction | None:
    """The number that this is, exactly; None: it is none. 1,080.00 and 1 080 are 1080; 1 1/2 is 1.5; 10^{3} is 1000; 1,08 is none."""
    if len(text := plain(text)) > LONGEST:
        return None
    text = re.sub(r"^([-+]) ", r"\1", re.sub(r" ?/ ?", "/", text))
    text = GROUPS.sub(lambda match: match.group().replace(" ", ""), text)
    try:
        if match := WHOLE.fullmatch(text):
            return _number(match.group(1)) / _number(match.group(2) or "1")
        if match := MIXED.fullmatch(text):
            sign, whole, above, below = match.groups()
            return Fraction(f"{sign}1") * (int(whole) + Fraction(int(above), int(below)))
        if match := POWER.fullmatch(text):
            sign, times, base, braced, bare = match.groups()
            return Fraction(f"{sign}1") * _number(times or "1") * Fraction(base) ** int(braced or bare)
    except ZeroDivisionError:
        pass
    return None


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def same(one: str, other: str) -> bool:
    """Whether two answers say the same: equal as numbers where one is a number, otherwise as plain texts, blanks at signs aside."""
    return key(one) == key(other)


def key(text: str) -> Fraction | str:
    """What is the same for answers that say the same, and for no others."""
    number = value(text)
    return _tight(text) if number is None else number


def _tight(text: str) -> str:
    return re.sub(r"\s*([^\w\s])\s*", r"\1", plain(text))


def with_a_unit(text: str) -> str | None:
    """The number in "72 clips"; None: there are several, or none, or it is part of a formula (5\\pi, x + 5, 5^x)."""
    found = numbers(text)
    return found[0] if len(found) == 1 and not re.search(r"[\\^*]|\S\s*\+", plain(text)) else None


def expected(given: str) -> str:
    """The answer that an example holds: with "####" before it, in \\boxed{}, or as it is."""
    return after_hashes(given) or boxed(given) or given.strip()


def found(reply: str, find: Find, *, number: bool) -> str | None:
    """The answer in a reply: after "####", in \\boxed{}, after "the answer is", in the last number, or the whole reply; None: it has none.

    `any` takes the first of these that a reply has: the last number where a `number` is expected, otherwise, where no phrase announces
    one, the whole reply."""
    for name, look in (("hashes", after_hashes), ("boxed", boxed), ("phrase", after_phrase)):
        if find != name and (find != "any" or (name == "phrase" and number)):
            continue
        if (given := look(reply)) is not None:
            return (with_a_unit(given) or given) if number and value(given) is None else given
    if find in ("hashes", "boxed", "phrase"):
        return None
    given = reply if find == "whole" or (find == "any" and not number) else last_number(reply)
    return given if given and given.strip() else None
