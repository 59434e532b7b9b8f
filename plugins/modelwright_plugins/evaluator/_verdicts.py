"""Pairs of replies before a judge, each in both orders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from modelwright_plugins.evaluator.pairwise import Comparison

VERDICT = re.compile(r"\[\[([ABC])\]\]")
WON = {"A": 1.0, "B": 0.0, "C": 0.5}  # by the one shown first


@dataclass(frozen=True)
class Replied:
    """A reply, and the turns that it replies to."""

    messages: tuple[Mapping[str, Any], ...]
    reply: str
    tools: tuple[Any, ...] = ()  # that who replies may call

    @classmethod
    def of(cls, record: Any) -> Replied:
        """ValueError: what is wrong with it."""
        given = record.get("messages", record.get("prompt")) if isinstance(record, dict) else None
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        if not isinstance(given, list) or not given or not all(isinstance(each, dict) and "content" in each for each in given):
            raise ValueError("no prompt: expected a text as prompt, or messages of {role, content}")
        if wrong := [each["content"] for each in given if not _readable(each)]:
            raise ValueError(f"content is {wrong[0]!r:.60}; expected a text, or null beside tool_calls")
        if not isinstance(reply := record.get("reply"), str):
            raise ValueError("no reply: expected a text as reply")
        tools = record.get("tools")
        if not isinstance(tools, list | None):
            raise ValueError(f"tools is {tools!r:.60}; expected a list of tools")
        return cls(tuple(given), reply, tuple(tools or ()))

    @property
    def key(self) -> str:
        return json.dumps([(each.get("role", "user"), _text(each)) for each in self.messages])

    @property
    def prompt(self) -> str:
        """As a judge reads it."""
        only = len(self.messages) == 1
        return "\n\n".join(_text(each) if only else f"{each.get('role', 'user')}: {_text(each)}" for each in self.messages)


def _readable(message: Mapping[str, Any]) -> bool:
    return isinstance(message["content"], str) or (message["content"] is None and bool(message.get("tool_calls")))


def _text(message: Mapping[str, Any]) -> str:
    """What a turn says, and the calls of tools in it."""
    calls = [json.dumps(call, ensure_ascii=False) for call in message.get("tool_calls") or ()]
    return "\n".join([*([message["content"]] if message["content"] else []), *calls])


@dataclass(frozen=True)
class Judged:
    """Two replies to a prompt, and what the judge said of them in both orders."""

    prompt: int  # its number
    first: str  # player
    second: str  # player
    said: tuple[str, str]  # with the first's reply as A, and with the second's

    @property
    def verdicts(self) -> tuple[str | None, str | None]:
        """A, B or C of each; None: it gave none."""
        one, other = (VERDICT.findall(text) for text in self.said)
        return (one[-1] if one else None, other[-1] if other else None)

    @property
    def won(self) -> tuple[float, float]:
        """1 where the first won, in each order; where there is no verdict, 0.5."""
        one, other = self.verdicts
        return WON[one or "C"], 1 - WON[other or "C"]

    @property
    def consistent(self) -> bool:
        """Both orders have a verdict, and it is the same."""
        return None not in self.verdicts and self.won[0] == self.won[1]

    @property
    def comparison(self) -> Comparison:
        """A win is one in both orders; all else is a tie (Zheng et al. 2023, section 3.4)."""
        one, other = self.won
        return Comparison(self.first, self.second, one if one == other else 0.5)


def judged(
    players: Mapping[str, Sequence[str]], prompts: Sequence[str], instruction: str, ask: Callable[[list[str]], list[str]]
) -> list[Judged]:
    """Every two players on every prompt: the replies of each are in the prompts' order. `ask`: what the judge says to each text."""
    pairs = [(number, first, second) for number in range(len(prompts)) for first, second in combinations(players, 2)]
    asked = []
    for number, *both in pairs:
        for one, other in (both, both[::-1]):
            asked.append(_filled(instruction, prompt=prompts[number], a=players[one][number], b=players[other][number]))
    said = ask(asked)
    return [Judged(number, first, second, (said[2 * place], said[2 * place + 1])) for place, (number, first, second) in enumerate(pairs)]


def _filled(instruction: str, **parts: str) -> str:
    """What is put in is not looked at again: a reply may have {b} in it."""
    return re.sub(r"\{(prompt|a|b)\}", lambda match: parts[match.group(1)], instruction)
