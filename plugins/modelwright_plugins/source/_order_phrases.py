"""What customers say in ordering dialogues: phrases made of parts, of which whole combinations are held out and no word is.

A bank is a product of parts. A phrase of it is held out by its hash, and stays in training all the same if one of its words stood in no
other phrase of its bank that is trained: what is held out is how words are put together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from modelwright_plugins.source._order_names import one_of

HELD_OUT = 5  # one phrase in so many


@dataclass(frozen=True)
class Bank:
    """Phrases of one purpose; in braces what is filled in."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, held_out: bool) -> tuple[str, ...]:
        return self.held_out if held_out else self.trained


def _product(*parts: Iterable[str]) -> Iterator[str]:
    return (" ".join(filter(None, chosen)) for chosen in itertools.product(*parts))


def _bank(purpose: str, *products: Iterable[str]) -> Bank:
    phrases = list(dict.fromkeys(itertools.chain(*products)))
    chosen = [phrase for phrase in phrases if one_of(f"{purpose} {phrase}", HELD_OUT)]
    trained = [phrase for phrase in phrases if phrase not in chosen]
    words = {word for phrase in trained for word in phrase.split()}
    for phrase in list(chosen):
        if not words.issuperset(phrase.split()):
            chosen.remove(phrase)
            trained.append(phrase)
            words |= set(phrase.split())
    return Bank(tuple(trained), tuple(chosen))


HAVE = ("have", "get", "order", "buy")
BRING_ME = ("bring me", "send me", "get me", "make me")


@cache
def banks() -> dict[str, Bank]:
    """By purpose."""
    return {
        "request": _bank(  # of what is wanted, {it}
            "request",
            _product(("I would like", "I want", "I need", "I will have", "I will take", "We would like", "We want", "We will have"), ("{it}.", "{it} please.")),  # noqa: E501
            _product(("Can I", "Could I", "May I", "Can we", "Could we"), HAVE, ("{it}?", "{it} please?")),
            _product(("I would like to", "I want to", "I need to", "We would like to", "Let me", "I am here to"), HAVE, ("{it}.", "{it} please.")),  # noqa: E501
            _product(("Can you", "Could you", "Would you", "Please"), BRING_ME, ("{it}.", "{it} today.")),
        ),
        "address": _bank(  # of where it goes, {address}
            "address",
            _product(("Bring", "Send", "Deliver", "Please bring", "Please send", "Please deliver", "You can bring", "You can send", "You can deliver"), ("it", "that", "my order", "everything"), ("to", "over to", "round to"), ("{address}.",)),  # noqa: E501
            _product(("My address is", "The address is", "I live at", "I am at", "We live at", "We are at", "My home is at", "It goes to", "It is for"), ("{address}.", "{address} today.")),  # noqa: E501
        ),
        "size": _bank(  # of the size alone, {size}
            "size",
            _product(("Make it", "I want it", "I would like it", "I need it", "I will take it", "We want it", "We would like it"), ("{size}.", "{size} please.", "in {size}.", "in {size} please.")),  # noqa: E501
            _product(("A", "The", "I want a", "I want the", "I would like the", "I would like a", "I will take the", "I will take a"), ("{size} one.", "{size} one please.", "{size} size.", "{size} size please.")),  # noqa: E501
        ),
        "correction": _bank(  # of a value that was said before, {it}
            "correction",
            _product(("No, wait,", "Wait,", "Sorry,", "Actually,", "No, sorry,", "Oh, wait,", "Oh, sorry,", "Oh no,"), ("make that", "I meant", "I mean", "rather", "better", "let it be"), ("{it}.", "{it} please.")),  # noqa: E501
            _product(("No, wait,", "Wait,", "Sorry,", "Actually,", "No, sorry,", "Oh, wait,", "Oh, sorry,", "Oh no,"), ("{it} instead.", "{it} instead please.")),  # noqa: E501
        ),
        "undecided": _bank(  # between two sizes, {size} and {other}
            "undecided",
            _product(("Maybe", "Perhaps", "I would like it", "I want it"), ("{size},", "in {size},"), ("or", "or maybe", "or perhaps"), ("{other}.", "in {other}.")),  # noqa: E501
            _product(("I am not sure:", "I do not know:", "I can not decide:"), ("{size}", "maybe {size}", "perhaps {size}"), ("or",), ("{other}.", "maybe {other}.", "perhaps {other}.")),  # noqa: E501
        ),
    }  # fmt: skip


ITEM = ("a {item}", "one {item}", "the {item}")
ITEM_AND_SIZE = ("a {size} {item}", "one {size} {item}", "the {size} {item}", "a {item} in {size}", "one {item} in {size}")
SIZE = ("something {size}", "a {size} one", "one in {size}")
NOTHING = ("something", "something to eat", "some food", "a meal")
TO_ADDRESS = (" to {address}", " for {address}", ", to {address}")  # within a request
GREETINGS = ("", "", "", "Hi. ", "Hello. ", "Good evening. ", "Good morning. ", "Hey. ")
CLOSINGS = ("", "", "", "", " Thanks.", " Thank you.", " That is all.")
