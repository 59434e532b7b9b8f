"""Ordering dialogues: a customer who leaves things out, takes them back or can't decide, and an assistant that asks until all is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from modelwright_plugins.source._order_names import (
    DISHES,
    HOUSES,
    ITEMS,
    SIZES,
    STREETS,
    WAYS,
    held_out_pair,
    invented,
)  # fmt: skip
from modelwright_plugins.source._order_phrases import (
    CLOSINGS,
    GREETINGS,
    ITEM,
    ITEM_AND_SIZE,
    NOTHING,
    SIZE,
    TO_ADDRESS,
    banks,
)  # fmt: skip
from modelwright_plugins.source._order_replies import SLOTS, STYLES, ask, confirm

Part = Literal["train", "combinations", "phrasings", "names"]
PARTS: tuple[Part, ...] = ("train", "combinations", "phrasings", "names")
TAKEN_BACK = 0.25  # how often a customer says something else first
MOST = 5  # turns of the customer


@dataclass(frozen=True)
class Turn:
    """A turn of the customer's and what the assistant has to say to it."""

    said: str
    missing: tuple[str, ...]  # slots that the assistant asks for
    order: dict[str, str]  # what holds so far: slot -> value
    reply: str


@dataclass(frozen=True)
class Dialogue:
    """A whole conversation; its last reply confirms."""

    turns: tuple[Turn, ...]
    phrases: tuple[str, ...]  # of the banks, that the customer used
    names: tuple[str, ...]  # invented ones
    pairs: tuple[tuple[str, str], ...]  # of known values, each that may have been said together

    def messages(self) -> list[dict[str, str]]:
        said = ((("user", turn.said), ("assistant", turn.reply)) for turn in self.turns)
        return [{"role": role, "content": content} for turn in said for role, content in turn]


def dialogue(part: Part, number: int, seed: int) -> Dialogue:
    """Number `number` of a part's dialogues; the same wherever it is drawn."""
    rng = Random(f"{seed} {part} {number}")
    return _Writer(part, rng, _values(part, rng)).write()


@dataclass(frozen=True)
class _Values:
    """What a customer wants, what he says at first where he takes it back later, and another size for when he can't decide."""

    last: dict[str, str]
    first: dict[str, str]
    size: str
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]


def _values(part: Part, rng: Random) -> _Values:
    while True:
        sizes = rng.sample(SIZES, 3)
        (item, other_item), (street, other_street) = (_two(part, rng, ITEMS), _two(part, rng, STREETS))
        pairs = [(a[0], b) for a in (item, other_item) if not a[1] for b in sizes]
        pairs += [(a[0], b[0]) for a in (item, other_item) for b in (street, other_street) if not a[1] and not b[1]]
        held_out = [held_out_pair(*pair) for pair in pairs]
        if part != "combinations" and any(held_out):
            continue
        if part == "combinations" and not (held_out_pair(item[0], sizes[0]) and held_out_pair(item[0], street[0])):
            continue
        dish = f" {rng.choice(DISHES)}" if item[1] and rng.random() < 0.3 else ""
        way, other_way = rng.choice(WAYS), rng.choice(WAYS)
        last = {"item": item[0] + dish, "size": sizes[0], "address": f"{rng.randint(1, HOUSES)} {street[0]} {way}"}
        first = {"item": other_item[0], "size": sizes[1], "address": f"{rng.randint(1, HOUSES)} {other_street[0]} {other_way}"}
        first = {slot: first[slot] if rng.random() < TAKEN_BACK else last[slot] for slot in SLOTS}
        names = tuple(name for name, new in (item, other_item, street, other_street) if new)
        return _Values(last, first, sizes[2], names, tuple(pairs))


def _two(part: Part, rng: Random, known: Sequence[str]) -> list[tuple[str, bool]]:
    """Two different names, and of each whether it is invented."""
    streets = known is STREETS
    while True:
        found = []
        for _ in range(2):
            if part == "combinations" or (part != "names" and rng.random() < 0.4):
                found.append((rng.choice(known), False))
            else:
                name = invented(rng, held_out=part == "names")
                found.append((name.capitalize() if streets else name, True))
        if found[0] != found[1]:
            return found


@dataclass
class _Writer:
    part: Part
    rng: Random
    values: _Values
    phrases: list[str] = field(default_factory=list)

    def write(self) -> Dialogue:
        rng, values = self.rng, self.values
        order: dict[str, str] = {}
        turns: list[Turn] = []
        missing: tuple[str, ...] = SLOTS
        while missing:
            if turns:
                wanted = [slot for slot in missing if len(turns) >= MOST - 2 or rng.random() < 0.75] or [rng.choice(missing)]
            else:
                wanted = [slot for slot in SLOTS if rng.random() < 0.5]
            said = [self._said(wanted, opening=not turns)]
            order |= {slot: values.first[slot] for slot in wanted}
            said += self._taken_back(order, 0.5)
            if "size" not in order and rng.random() < 0.2:
                one, other = rng.sample((values.last["size"], values.first["size"], values.size), 2)
                if one != other:
                    said.append(self._phrase("undecided").format(size=one, other=other))
            missing = tuple(slot for slot in SLOTS if slot not in order)
            turns.append(self._turn(said, missing, order))
        if said := self._taken_back(order, 1):
            turns.append(self._turn(said, (), order))
        return Dialogue(tuple(turns), tuple(self.phrases), values.names, values.pairs)

    def _turn(self, said: Sequence[str], missing: tuple[str, ...], order: dict[str, str]) -> Turn:
        style = self.rng.randrange(STYLES)
        return Turn(" ".join(said), missing, dict(order), ask(missing, style) if missing else confirm(order, style))

    def _phrase(self, purpose: str, it: str = "") -> str:
        """One of those that this part may have. A request of `it` may be, to the letter, a phrase of a size ("I will take" "a {size} one"
        "please."), and of one that this part may not have: then it is another."""
        held_out = self.part == "phrasings"
        phrase = self.rng.choice(banks()[purpose].of(held_out))
        while phrase.replace("{it}", it) in banks()["size"].of(not held_out):
            phrase = self.rng.choice(banks()[purpose].of(held_out))
        self.phrases.append(f"{purpose}: {phrase}")
        return phrase

    def _said(self, wanted: Sequence[str], *, opening: bool) -> str:
        """Sentences that say the first values of these slots."""
        rng, first = self.rng, self.values.first
        said, address = [], f"{first['address']}"
        if opening or "item" in wanted:
            shapes = (ITEM_AND_SIZE if "size" in wanted else ITEM) if "item" in wanted else SIZE if "size" in wanted else NOTHING
            shape = rng.choice(shapes)
            it = shape.format(**first)
            if within := "address" in wanted and rng.random() < 0.4:
                it += rng.choice(TO_ADDRESS).format(address=address)
            said.append(self._phrase("request", shape).format(it=it))
        else:
            within = False
            if "size" in wanted:
                short = rng.random() < 0.3
                said.append(f"{first['size'].capitalize()}." if short else self._phrase("size").format(size=first["size"]))
        if "address" in wanted and not within:
            short = not opening and rng.random() < 0.3
            sentence = f"{address}." if short else self._phrase("address").format(address=address)
            said.insert(rng.randrange(len(said) + 1), sentence)
        return f"{rng.choice(GREETINGS) if opening else ''}{' '.join(said)}{rng.choice(CLOSINGS)}"

    def _taken_back(self, order: dict[str, str], share: float) -> list[str]:
        """Corrections of what was said and is not wanted; `order` is changed with them."""
        said = []
        for slot in SLOTS:
            if slot in order and order[slot] != (now := self.values.last[slot]) and self.rng.random() < share:
                order[slot] = now
                it = f"{self.rng.choice(('a', 'one', 'the'))} {now}" if slot == "item" else now
                said.append(self._phrase("correction").format(it=it))
        return said
