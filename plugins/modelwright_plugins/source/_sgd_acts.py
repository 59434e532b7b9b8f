"""Acts of the Schema-Guided Dialogue set, as they stand before what the system says, and what a reply requests or confirms by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SLOTTED = ("CONFIRM", "REQUEST")  # acts that are written with their slots
_ACTS = re.compile(r"\s*\[([^\]]*)\]")


def content(turn: Mapping[str, Any]) -> str:
    """A system's turn: its acts in brackets, and its words. SimpleTOD (Hosseini-Asl et al. 2020, arXiv:2005.00796) writes acts so."""
    acts: dict[str, set[str]] = {}
    for action in _actions(turn):
        acts.setdefault(action["act"], set()).update([action["slot"]] if action["act"] in SLOTTED else [])
    told = "; ".join(" ".join([name.lower(), *sorted(slots)]) for name, slots in sorted(acts.items()))
    return f"[{told}] {turn['utterance'].strip()}"


def facts(turn: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What a judge needs of a system's turn, and the user's before it: {"request": [slots], "confirm": {slot: value}, "given": [slots]}.

    A value that the system says in other words ("True", "dontcare") is "": nothing tells it in a reply.
    """
    request = sorted({action["slot"] for action in _actions(turn) if action["act"] == "REQUEST"})
    confirm = {action["slot"]: action["values"][0] for action in _actions(turn) if action["act"] == "CONFIRM" and action["values"]}
    confirm = {slot: value if says(turn["utterance"], {slot: value}) else "" for slot, value in confirm.items()}
    given = sorted({slot for frame in before["frames"] for slot in frame.get("state", {}).get("slot_values", {})})
    return {"request": request, "confirm": dict(sorted(confirm.items())), "given": given}


def _actions(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [action for frame in turn["frames"] for action in frame["actions"]]


@dataclass(frozen=True)
class Acts:
    """What a reply says that it does."""

    request: frozenset[str] = frozenset()  # slots
    confirm: frozenset[str] = field(default=frozenset())


def read(reply: str) -> Acts:
    """The acts in the brackets that a reply begins with."""
    found: dict[str, frozenset[str]] = {}
    if begun := _ACTS.match(reply):
        for act in begun[1].split(";"):
            name, *slots = act.split() or [""]
            if name.upper() in SLOTTED:
                found[name] = frozenset(slots)
    return Acts(found.get("request", frozenset()), found.get("confirm", frozenset()))


def says(reply: str, values: Mapping[str, str]) -> bool:
    """Whether all of these values are in its words, each as words of its own: "2" is not in "12:30", nor in "2.5" or "20". "" is told in
    no words, and asks for none."""
    text = " ".join(_ACTS.sub("", reply, count=1).lower().split())
    return all(re.search(_alone(" ".join(value.lower().split())), text) for value in values.values() if value.strip())


def _alone(value: str) -> str:
    """A pattern of it with no letter or digit beside it, and no digit beyond a sign that joins digits to one value."""
    before = r"(?<!\d[.,:/-])" if value[0].isdigit() else ""
    behind = r"(?![.,:/-]\d)" if value[-1].isdigit() else ""
    return rf"(?<!\w){before}{re.escape(value)}(?!\w){behind}"


def right(reply: str, told: Mapping[str, Any]) -> bool:
    """Whether a reply requests just the slots it should, and confirms those that it should, with their values."""
    found = read(reply)
    return found.request == frozenset(told["request"]) and found.confirm == frozenset(told["confirm"]) and says(reply, told["confirm"])
