"""What is asked of a model in ordering dialogues, and whether its replies are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from modelwright_plugins.source._order_grammar import Dialogue, Part, dialogue
from modelwright_plugins.source._order_replies import read, right

FIRST = 1_000_000_000  # numbers of dialogues from here on are judged with


@dataclass(frozen=True)
class Asked:
    """A dialogue up to the customer's turn, and what the assistant has to say to it."""

    part: Part
    number: int  # of the dialogue
    messages: tuple[dict[str, str], ...]
    missing: tuple[str, ...]
    order: dict[str, str]
    reference: str


@dataclass(frozen=True)
class Verdict:
    """Of one reply."""

    asks: bool  # it asks for something, or else
    confirms: bool  # it confirms an order
    exact: bool  # it asks for all that is missing and for nothing else; where nothing is, it confirms the order to the letter
    given: bool  # it asks for what was given


def judged(dialogues: Sequence[tuple[Part, int, Dialogue]]) -> list[Asked]:
    """Two turns of each dialogue: one of those where something is missing, drawn by the dialogue's number, and the last one."""
    found = []
    for part, number, one in dialogues:
        open_turns = [place for place, turn in enumerate(one.turns) if turn.missing]
        places = [Random(f"{part} {number}").choice(open_turns), len(one.turns) - 1]
        found += [_asked(part, number, one, place) for place in places]
    return found


def every_turn(part: Part, number: int, one: Dialogue) -> list[Asked]:
    """All turns of a dialogue."""
    return [_asked(part, number, one, place) for place in range(len(one.turns))]


def _asked(part: Part, number: int, one: Dialogue, place: int) -> Asked:
    turn = one.turns[place]
    return Asked(part, number, tuple(one.messages()[: 2 * place + 1]), turn.missing, turn.order, turn.reply)


def drawn(part: Part, count: int, draw: int) -> list[tuple[Part, int, Dialogue]]:
    """The first `count` distinct dialogues of a part in which something is missing at some turn."""
    found: list[tuple[Part, int, Dialogue]] = []
    known: set[tuple[str, ...]] = set()
    number = FIRST
    while len(found) < count:
        one = dialogue(part, number, draw)
        said = tuple(turn.said for turn in one.turns)
        if said not in known and any(turn.missing for turn in one.turns):
            known.add(said)
            found.append((part, number, one))
        number += 1
    return found


def verdict(asked: Asked, reply: str) -> Verdict:
    """Whether this reply was right."""
    found, exact = read(reply), right(reply, asked.missing, asked.order)
    return Verdict(bool(found.asks), bool(found.confirms), exact, not found.asks <= frozenset(asked.missing))


@dataclass(frozen=True)
class Hits:
    """Of each dialogue of a part, whether the model did it."""

    correctness: list[bool]  # where something is missing, it asks for just that
    appropriateness: list[bool]  # there it asks, and for nothing that was given; and where nothing is missing it confirms
    exact_confirmation: list[bool]  # what it confirms is the order, to the letter


def hits(verdicts: Sequence[Verdict]) -> Hits:
    """Of the verdicts on `judged` turns."""
    found = Hits([], [], [])
    for open_turn, last in zip(verdicts[::2], verdicts[1::2], strict=True):
        found.correctness.append(open_turn.exact)
        found.appropriateness.append(open_turn.asks and not open_turn.given and last.confirms)
        found.exact_confirmation.append(last.exact)
    return found
