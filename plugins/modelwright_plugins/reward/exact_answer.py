"""Whether a reply comes to the example's answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class ExactAnswer(Reward):
    """Whether a reply's last answer is the example's: equal as a number, or the same text.

    It is looked for after "####" (GSM8K), in \\boxed{} (MATH), after "the answer is", in the last number, or is the whole reply; `any`
    takes the first of these that a reply has, the last number only where the example's answer is one, and what stands after "the answer
    is", or the whole reply, only where it is none. Numbers are compared exactly: 1,080 and 1 080 and $1080.00 are one, so are 1.5, 3/2
    and 1\\frac{1}{2}; of texts, case, blanks at signs, TeX's marks and a full stop at the end don't matter. Of several answers the
    last counts; two in one place ("72 or 73") are wrong.
    """

    find: Literal["any", "hashes", "boxed", "phrase", "last_number", "whole"] = "any"  # where; any: the first of these that there is
    right: float = 1.0  # the score of a reply with the right answer
    wrong: float = 0.0  # of one with another
    missing: float = 0.0  # of one in which there is no answer where it should be

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("right", "wrong", "missing"):
            if not math.isfinite(value := getattr(self, name)):
                raise ValueError(f"{name} is {value}; it is a finite number")

    def lacks(self, answer: str | None) -> str:
        from modelwright_plugins.reward import final_answer

        return "" if final_answer.plain(final_answer.expected(answer or "")) else f"is {answer!r}, with nothing to compare with"

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        return [self._score(each) for each in asked]

    def _score(self, asked: Asked) -> float:
        from modelwright_plugins.reward import final_answer

        if why := self.lacks(asked.answer):
            raise ValueError(f"reward exact_answer: the example of {str(list(asked.prompt))[:80]!r}: its answer {why}")
        expected = final_answer.expected(asked.answer or "")
        found = final_answer.found(asked.reply, self.find, number=final_answer.value(expected) is not None)
        if found is None:
            return self.missing
        return self.right if final_answer.same(found, expected) else self.wrong
