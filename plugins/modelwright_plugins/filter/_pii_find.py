"""Where personal data is in a text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import NamedTuple

import phonenumbers

from modelwright_plugins.filter._check_digits import luhn
from modelwright_plugins.filter._national import NATIONAL
from modelwright_plugins.filter._secrets import secrets


class Found(NamedTuple):
    """A piece of personal data."""

    start: int
    end: int
    type: str
    country: str = ""  # of a national id: `us`, or `es 1` for the second shape of Spain's


# What a shorter or weaker kind may be found within goes first
TYPES = ("secret", "email", "iban", "card", "national_id", "ip", "phone")

DOMAIN = re.compile(r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}([A-Za-z]{2,24}))(?![A-Za-z0-9_-])")
LOCAL = re.compile(r"[A-Za-z0-9À-ɏ._%+'-]+\Z")
RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost|local)$", re.I)  # RFC 2606, RFC 6762: nobody's

# These begin with one set of characters, which Python's `re` looks for ten times as fast as for what a lookbehind precedes
IPV4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![A-Za-z0-9_-])(?!\.\d)")
VERSION = re.compile(r"(?:\bv|version|release|build|firmware|section|chapter|§)[\s:=(]{0,8}\Z", re.I)  # before what is no address
IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![A-Za-z0-9_:])(?!\.\d)")  # all that are global
IPV6_ANY = re.compile(r"[0-9A-Fa-f:]{1,4}:[0-9A-Fa-f:]{2,34}(?![A-Za-z0-9_:])(?!\.\d)")

UPPER = re.compile(r"[A-Z](?:[A-Z]{5}\d|[A-Z] ?\d\d|-?\d)")
# Lengths of the SWIFT IBAN registry (release 99)
IBAN = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BI DJ FR GR IT MC SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC",
        32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

DIGITS = re.compile(r"\d[\d ().+\-/\u00a0]{5,}")  # a stretch in which numbers may be
BEGIN = re.compile(r"(?<![\d])(?:\+\(?|\()?\d")
CARD = re.compile(r"\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|3[47]\d\d([ -]?)\d{6}\2\d{5}|3\d{3}([ -]?)\d{6}\3\d{4}|4\d{12}")
# Who issues: Visa, Mastercard, American Express, Discover, JCB, Diners Club, UnionPay; with the lengths that each has (ISO/IEC 7812)
ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|"
    r"35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)
PHONE = re.compile(r"(?:\+\(?|\()?\d{1,4}\)?(?:[ .\-/\u00a0]{0,2}\(?\d{1,5}\)?){1,6}")
PHONE_NEAR = re.compile(
    r"(?:phone|tel(?:efon\w*|éfono|ephone|\b)|mobile|cell|fax|call|whatsapp|sms|text me|電話|电话|手机)[^\d\n]{0,20}\Z", re.I
)
AFTER = re.compile(r"[A-Za-z0-9_]|[.,:/-]\d|[ \u00a0]\d")  # what follows a number that is a part of something longer


def iban(number: str) -> bool:
    """ISO 13616: its first four characters at the end, letters as numbers from 10; the remainder by 97 is 1."""
    rearranged = number[4:] + number[:4]
    return IBAN.get(number[:2]) == len(number) and int("".join(str(int(c, 36)) for c in rearranged)) % 97 == 1


@cache
def _top_level() -> frozenset[str]:
    """The last labels of the list of public suffixes that tldextract carries."""
    from tldextract import TLDExtract

    return frozenset(suffix.rpartition(".")[2].lower() for suffix in TLDExtract(suffix_list_urls=(), cache_dir=None).tlds)


class Finder:
    """Finds types of personal data; where two overlap, the type that comes first in TYPES counts."""

    def __init__(self, types: Collection[str], *, public_ips: bool, countries: Collection[str], regions: tuple[str, ...]) -> None:
        self.types, self.public, self.regions = frozenset(types), public_ips, regions
        self.countries = {c: NATIONAL[c] for c in sorted(countries)} if "national_id" in self.types else {}
        self.finders: list[Callable[[str], Iterator[Found]]] = []
        if "secret" in self.types:
            self.finders.append(lambda text: (Found(start, end, "secret") for start, end in secrets(text)))
        if "email" in self.types:
            self.finders.append(_emails)
        if "ip" in self.types:
            self.finders.append(self._ips)
        if self.types & {"iban", "national_id"}:
            self.finders.append(self._upper)
        if self.types & {"card", "national_id", "phone"}:
            self.finders.append(self._numbers)

    def find(self, text: str) -> list[Found]:
        """What there is, in order, none overlapping another."""
        found = sorted((f for finder in self.finders for f in finder(text)), key=lambda f: (TYPES.index(f.type), f.start, -f.end))
        chosen: list[Found] = []
        if len(found) == 1:
            return found
        taken = bytearray(max((f.end for f in found), default=0))
        for f in found:
            if not any(taken[f.start : f.end]):
                taken[f.start : f.end] = b"\1" * (f.end - f.start)
                chosen.append(f)
        return sorted(chosen)

    def _ips(self, text: str) -> Iterator[Found]:
        for found in IPV4.finditer(text):
            at = found.start()
            if not _within(text, at) and self._is_ip(found[0]) and not VERSION.search(text[max(0, at - 12) : at]):
                yield Found(at, found.end(), "ip")
        for found in (IPV6 if self.public else IPV6_ANY).finditer(text):
            at = found.start()
            if not _within(text, at) and text[at - 1 : at] != ":" and found[0].count(":") > 1 and self._is_ip(found[0]):
                yield Found(at, found.end(), "ip")

    def _is_ip(self, written: str) -> bool:
        try:
            address = ipaddress.ip_address(written)
        except ValueError:
            return False
        return address.is_global if self.public else not (address.is_unspecified or address.is_loopback)

    def _upper(self, text: str) -> Iterator[Found]:
        for begin in UPPER.finditer(text):
            at = begin.start()
            if _joined(text[at - 1 : at]):
                continue
            length = IBAN.get(text[at : at + 2])
            if length and "iban" in self.types:
                end, written = at, ""
                while len(written) < length and end < len(text):
                    c = text[end]
                    if c in " \u00a0" and written and text[end - 1] not in " \u00a0":
                        pass
                    elif c.isascii() and (c.isdigit() or c.isupper()):
                        written += c
                    else:
                        break
                    end += 1
                if len(written) == length and written[2:4].isdigit() and iban(written) and not _joined(text[end : end + 1]):
                    yield Found(at, end, "iban")
                    continue
            yield from self._national(text, at)

    def _national(self, text: str, at: int) -> Iterator[Found]:
        for country, shapes in self.countries.items():
            for number, id_ in enumerate(shapes):
                found = id_.shape.match(text, at)
                if found is None:
                    continue
                if id_.near and not id_.near.search(text[max(0, at - 40) : at]):
                    continue
                if id_.valid(bare(found[0], id_.fixed)):
                    yield Found(*found.span(), "national_id", f"{country} {number}")

    def _numbers(self, text: str) -> Iterator[Found]:
        for stretch in DIGITS.finditer(text):
            low, high = stretch.span()
            while low and text[low - 1] in "+(":
                low -= 1
            for begin in BEGIN.finditer(text, low, high):
                at = begin.start()
                before = text[at - 1 : at]
                if before and (_joined(before) or before in "@#" or (before in ".,:" and text[at - 2 : at - 1].isdigit())):
                    continue
                plain = text[at].isdigit()
                if plain and self.countries:
                    yield from self._national(text, at)
                if plain and "card" in self.types and (found := CARD.match(text, at)):
                    number = bare(found[0])
                    if (
                        not AFTER.match(text, found.end())
                        and (not before or before not in "-/")
                        and ISSUER.fullmatch(number)
                        and luhn(number)
                    ):
                        yield Found(*found.span(), "card")
                if "phone" in self.types and (not before or before not in "-/+("):
                    found = PHONE.match(text, at)
                    if found and self._is_phone(text, found):
                        yield Found(*found.span(), "phone")

    def _is_phone(self, text: str, found: re.Match[str]) -> bool:
        written, number = found[0], bare(found[0])
        if not 8 <= len(number) <= 15 or AFTER.match(text, found.end()) or written.count("(") != written.count(")"):
            return False
        if written[-2] == ".":  # +35236450.6
            return False
        if written.startswith("+"):
            return _valid_phone(written, None)
        if (not written.startswith("(") and written.isdigit()) or len(re.findall(r"\d+", written)) < 3:
            if not PHONE_NEAR.search(text[max(0, found.start() - 32) : found.start()]):
                return False
            return any(_valid_phone(written, region) for region in self.regions)
        return any(_grouped_phone(written, region) for region in self.regions)


def _emails(text: str) -> Iterator[Found]:
    at = text.find("@")
    while at >= 0:
        found = DOMAIN.match(text, at)
        if found and found[2].lower() in _top_level() and not RESERVED.search(found[1]):
            local = LOCAL.search(text, max(0, at - 65), at)
            start = at - len(local[0].lstrip(".-'%+")) if local else at
            if 0 < at - start <= 64 and text[at - 1] not in ".'" and text[start:at] != "git" and ".." not in text[start:at]:
                yield Found(start, found.end(), "email")
        at = text.find("@", at + 1)


def _within(text: str, at: int) -> bool:
    """Whether what begins here goes on from something: a word, a number, a file's name."""
    before = text[at - 1 : at]
    return _joined(before) or (bool(before) and before in ".-")


def _joined(c: str) -> bool:
    """Whether it is of a word, as ASCII has them: in scripts without spaces anything may stand beside a number."""
    return c.isascii() and (c.isalnum() or c == "_")


def bare(written: str, fixed: int | None = None) -> str:
    """Its letters and digits, without the one at `fixed`."""
    return "".join(c for place, c in enumerate(written) if place != fixed and c.isascii() and c.isalnum())


def _valid_phone(written: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False


def _grouped_phone(written: str, region: str) -> bool:
    """Valid, and its digits stand in the groups that the country writes."""
    if not _valid_phone(written, region):
        return False
    number = phonenumbers.parse(written, region)
    groups = re.findall(r"\d+", written)
    formats = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    usual = [re.findall(r"\d+", phonenumbers.format_number(number, format)) for format in formats]
    code = str(number.country_code)
    return any(groups in (u, u[1:], [code, *u]) for u in usual)
