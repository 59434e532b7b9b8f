"""Whether a reply in an ordering dialogue is right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class OrderReply(Reward):
    """1 where a reply in an ordering dialogue asks for just what is missing, or confirms the order to the letter; else 0.

    The dialogues are those of `source=order_dialogues`.

    The answer is JSON: {"missing": [slots], "order": {slot: value}}, of the reply's turn.
    """

    sample_answer: ClassVar[str] = '{"missing": ["size"], "order": {"item": "soup"}}'

    def lacks(self, answer: str | None) -> str:
        from modelwright_plugins.source._order_replies import right

        try:
            facts = json.loads(answer or "")
            right("", facts["missing"], facts["order"])
        except (ValueError, KeyError, TypeError):
            return 'is none of {"missing": [slots], "order": {slot: value}}'
        return ""

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        from modelwright_plugins.source._order_replies import right

        found: list[Score] = []
        for each in asked:
            try:
                facts = json.loads(each.answer or "")
                found.append(float(right(each.reply, facts["missing"], facts["order"])))
            except (ValueError, KeyError, TypeError) as e:
                raise ValueError('reward order_reply: expected an answer {"missing": [slots], "order": {slot: value}}') from e
        return found
