"""Which words are in a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class Contains(Reward):
    """Whether a reply has the words that it should have, and none that it should not."""

    words: tuple[str, ...]  # words or phrases that a reply should have; may be empty where the others are not
    avoid: tuple[str, ...] = ()  # words or phrases that it should not have
    answer: bool = False  # the example's answer is one more that it should have
    mode: Literal["all", "any", "share"] = "all"  # 1 where all are found, where any is, or the share that is found
    whole_words: bool = True  # not within a longer word: "mill" is not in "milling"
    ignore_case: bool = True  # "Mill" is "mill"
    penalty: float = 1.0  # taken off for each of `avoid` that is found, however often

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.words or self.avoid or self.answer):
            raise ValueError("words, avoid and answer are all empty; say what a reply should contain, for example words=[please]")
        for name in ("words", "avoid"):
            if any(not word.strip() for word in getattr(self, name)):
                raise ValueError(f"{name} is {list(getattr(self, name))}; an empty word is nothing to look for")

    def lacks(self, answer: str | None) -> str:
        return "is missing, and reward.contains.answer=true looks for it" if self.answer and not (answer or "").strip() else ""

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        return [self._score(each) for each in asked]

    def _score(self, asked: Asked) -> float:
        words = self.words
        if self.answer:
            if why := self.lacks(asked.answer):
                raise ValueError(f"reward contains: the example of {str(asked.prompt)[:80]!r}: its answer {why}")
            words = (*words, str(asked.answer).strip())
        found = [self._in(word, asked.reply) for word in words]
        good = 0.0
        if found:
            good = sum(found) / len(found) if self.mode == "share" else float(all(found) if self.mode == "all" else any(found))
        return good - self.penalty * sum(self._in(word, asked.reply) for word in self.avoid)

    def _in(self, word: str, text: str) -> bool:
        expression = r"\s+".join(re.escape(part) for part in word.split())
        if self.whole_words:
            expression = rf"(?<!\w){expression}(?!\w)"
        return re.search(expression, text, re.IGNORECASE if self.ignore_case else 0) is not None
