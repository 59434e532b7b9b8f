"""Whether a reply in a schema-guided dialogue does what the system did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class SGDReply(Reward):
    """1 where a reply of `source=sgd_dialogues` requests and confirms the slots that it should, with values; 0 elsewhere.

    The answer is JSON: {"request": [slots], "confirm": {slot: value}}, of the reply's turn.
    """

    sample_answer: ClassVar[str] = '{"request": ["date"], "confirm": {}}'

    def lacks(self, answer: str | None) -> str:
        from modelwright_plugins.source._sgd_acts import right

        try:
            facts = json.loads(answer or "")
            right("", facts)
        except (ValueError, KeyError, TypeError, AttributeError):
            return 'is none of {"request": [slots], "confirm": {slot: value}}'
        return ""

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        from modelwright_plugins.source._sgd_acts import right

        found: list[Score] = []
        for each in asked:
            try:
                facts = json.loads(each.answer or "")
                found.append(float(right(each.reply, facts)))
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                raise ValueError('reward sgd_reply: expected an answer {"request": [slots], "confirm": {slot: value}}') from e
        return found
