"""A datatrove filter that drops, redacts or replaces personal data."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

import phonenumbers

from modelwright_plugins.filter._check_digits import digits, with_luhn
from modelwright_plugins.filter._national import NATIONAL
from modelwright_plugins.filter._pii_find import Finder, Found, bare, iban
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

TIMES = 5  # what replacing puts side by side may be found anew
FIRST = (
    "ada amir ben carla chen dana eli eva femi gita hugo ines ivan jana jun kai lena lior mara milo nadia noor omar paula ravi rosa "
    "sami tara timo uma vera yuki"
)
LAST = (
    "abel bauer blum costa dahl diaz engel falk frost gomez haas holt ito janik khan kim lang lima moss nagy okoye park quist reis roth "
    "sato silva torres urban vidal weiss young"
)


class Personal(Measured):
    """Counts what it found in `metadata["pii"]`: type -> number."""

    name = "PII"
    statistic = "pieces of personal data"

    def __init__(self, finder: dict[str, Any], mode: str, most: int | None, placeholder: str, seed: int) -> None:
        super().__init__()
        self.finder, self.mode, self.most, self.placeholder, self.seed = finder, mode, most, placeholder, seed
        self._find: Finder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_find": None}

    def bounds(self) -> Mapping[str, Bounds]:
        return {} if self.most is None else {self.statistic: Bounds(most=self.most)}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {} if self.most is None else {self.statistic: len(self._finds().find(document.text))}

    def _finds(self) -> Finder:
        if self._find is None:
            self._find = Finder(**self.finder)
        return self._find

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        find = self._finds()
        found = find.find(doc.text)
        if not found:
            return True
        counts: dict[str, int] = {}
        for one in found:
            counts[one.type] = counts.get(one.type, 0) + 1
        if self.most is not None and len(found) > self.most:
            return False, f"pii_{max(counts, key=lambda type: (counts[type], type))}"
        doc.metadata["pii"] = counts
        if self.mode == "drop":
            return True
        doc.text = self._without(doc.text, find)
        example = doc.metadata.get("example") or {"prompt": (), "replies": ()}
        replies = (turn for reply in example["replies"] for turn in reply)
        for turn in [*doc.metadata.get("messages", ()), *example["prompt"], *replies]:  # they repeat the text
            if isinstance(turn, dict) and isinstance(turn.get("content"), str):
                turn["content"] = self._without(turn["content"], find)
        return True

    def _without(self, text: str, find: Finder) -> str:
        for _ in range(1 + TIMES if self.mode == "redact" else 1):
            if not (found := find.find(text)):
                break
            text = self._replaced(text, found)
        return text

    def _replaced(self, text: str, found: list[Found]) -> str:
        pieces, last = [], 0
        for one in found:
            written = text[one.start : one.end]
            new = self.placeholder.replace("{type}", one.type.upper()) if self.mode == "redact" else stand_in(one, written, self.seed)
            pieces += [text[last : one.start], new]
            last = one.end
        return "".join(pieces) + text[last:]


def stand_in(found: Found, written: str, seed: int) -> str:
    """Another value of the type, written alike: the same for the same value and seed, however it was written."""
    value = written.lower() if found.type == "email" else written if found.type == "secret" else bare(written)
    if found.type == "ip":
        value = str(ipaddress.ip_address(written))
    if found.country.startswith("se"):
        value = value[-10:]  # with the century or without
    key = hashlib.blake2b(f"{found.type} {value}".encode("utf-8", "surrogatepass"), key=str(seed).encode(), digest_size=16)
    dice = Random(int.from_bytes(key.digest()))
    if found.type == "email":
        tail = "".join(dice.choices("0123456789", k=6))
        return f"{dice.choice(FIRST.split())}.{dice.choice(LAST.split())}{tail}@example.{dice.choice(('com', 'org', 'net'))}"
    if found.type == "ip":
        if ":" in written:
            return str(ipaddress.IPv6Address((0x20010DB8 << 96) | dice.getrandbits(96)))  # RFC 3849: for documents
        return str(ipaddress.IPv4Address("198.18.0.0") + dice.getrandbits(17))  # RFC 2544: for benchmarks, routed nowhere
    if found.type == "secret":
        return _secret(written, dice)
    if found.type == "card":
        keep = 1 if value[0] == "4" else 4
        return _laid_out(with_luhn(value[:keep] + digits(dice, len(value) - keep - 1)), written)
    if found.type == "iban":
        body = "".join(dice.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if c.isalpha() else dice.choice("0123456789") for c in value[4:])
        return _laid_out(next(new for n in range(2, 99) if iban(new := f"{value[:2]}{n:02d}{body}")), written)
    if found.type == "national_id":
        country, number = found.country.split()
        id_ = NATIONAL[country][int(number)]
        return _laid_out(_like(id_.make(dice), bare(written, id_.fixed)), written, id_.fixed)
    return _phone(written, value, dice)


def _laid_out(new: str, written: str, fixed: int | None = None) -> str:
    """The letters and digits of `new` in place of those of `written`."""
    left = iter(new)
    return "".join(next(left) if place != fixed and c.isascii() and c.isalnum() else c for place, c in enumerate(written))


def _like(new: str, old: str) -> str:
    """Sweden's number may be written with the century."""
    return f"19{new}" if len(old) == len(new) + 2 else new


def _secret(written: str, dice: Random) -> str:
    """Its prefix, up to the last `-` or `_` of its first 12 characters, or 4 of them; the rest of the same kinds of characters."""
    if written.startswith("-----"):
        head, _, rest = written.partition("\n")
        body, newline, tail = rest.rpartition("\n")
        return f"{head}\n{_scrambled(body, dice)}{newline}{tail}" if newline else "-----BEGIN PRIVATE KEY-----"
    keep = max((place + 1 for place, c in enumerate(written[:12]) if c in "-_:."), default=4)
    return written[:keep] + _scrambled(written[keep:], dice)


def _scrambled(text: str, dice: Random) -> str:
    kinds = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    hexadecimal = all(c in "0123456789abcdef" for c in text)
    kinds = ("0123456789", "abcdef", kinds[2]) if hexadecimal else kinds
    return "".join(next((dice.choice(kind) for kind in kinds if c in kind), c) for c in text)


def _phone(written: str, value: str, dice: Random) -> str:
    """Its last seven digits anew, or six of a short number, so that country and area stay: the first drawn that exists there."""
    count = 7 if len(value) > 9 else 6
    for _ in range(100):
        new = _laid_out(value[:-count] + digits(dice, count), written)
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(new, None if new.startswith("+") else "US")):
                return new
        except phonenumbers.NumberParseException:
            break
    return new
