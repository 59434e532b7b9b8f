"""What the assistant of ordering dialogues says: it asks for what is missing, all of it, and confirms an order that is whole; and
the other way round, what a reply asks for or confirms, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelwright_plugins.source._order_names import SIZES

SLOTS = ("item", "size", "address")
QUESTIONS = {  # in two styles
    "item": ("what would you like to eat", "which dish do you want"),
    "size": ("which size would you like", "what size should it be"),
    "address": ("where should we bring it", "what is your address"),
}
CONFIRMATIONS = ("So that is one {size} {item} to {address}. Is that right?", "One {size} {item} comes to {address}. Shall we go ahead?")
STYLES = 2
_ASKED = {question: slot for slot, questions in QUESTIONS.items() for question in questions}
_BLANKS = {"size": f"(?P<size>{'|'.join(SIZES)})", "item": r"(?P<item>\S.*?)", "address": r"(?P<address>\S.*?)"}
_CONFIRMED = [
    re.compile(re.sub(r"\\\{(\w+)\\\}", lambda found: _BLANKS[found[1]], re.escape(text)), re.IGNORECASE) for text in CONFIRMATIONS
]


def ask(missing: Sequence[str], style: int) -> str:
    """A question for these slots."""
    said = ", and ".join(QUESTIONS[slot][style] for slot in SLOTS if slot in missing)
    return f"{said[0].upper()}{said[1:]}?"


def confirm(order: Mapping[str, str], style: int) -> str:
    """The whole order, said again."""
    return CONFIRMATIONS[style].format(**order)


@dataclass(frozen=True)
class Read:
    """What a reply does. One that neither asks nor confirms in words of this grammar has neither."""

    asks: frozenset[str] = frozenset()  # slots
    confirms: Mapping[str, str] = field(default_factory=dict)  # slot -> value; all slots or none


def read(reply: str) -> Read:
    """What a reply asks for or confirms: the whole reply has to be a question, or a confirmation."""
    text = " ".join(reply.split())
    for pattern in _CONFIRMED:
        if found := pattern.fullmatch(text):
            return Read(confirms=found.groupdict())
    if text.endswith("?"):
        asked = [_ASKED.get(part.lower()) for part in text[:-1].split(", and ")]
        if all(asked) and len(set(asked)) == len(asked):
            return Read(asks=frozenset(slot for slot in asked if slot))
    return Read()


def right(reply: str, missing: Sequence[str], order: Mapping[str, str]) -> bool:
    """Whether a reply is what should be said: it asks for just what is missing, or, when nothing is, confirms the order to the letter."""
    found = read(reply)
    return found.asks == frozenset(missing) if missing else dict(found.confirms) == dict(order)
