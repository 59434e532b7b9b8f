"""Rewards: how good a reply to a prompt is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from modelwright.component import Component

Message = Mapping[str, str]  # {"role": "user", "content": …}
Score = float | list[tuple[int, float]]  # of a whole reply, or a number after each step: (characters of the reply up to its end, number)


@dataclass(frozen=True)
class Asked:
    """A reply, and what it replies to."""

    prompt: Sequence[Message]  # the turns before it
    reply: str  # its text, without the end token
    answer: str | None = None  # what the example holds to compare with: a number, tests, …
    finished: bool = True  # it drew its end token, rather than running out of room
    tokens: Sequence[int] = ()  # ids of the prompt and the reply
    begin: int = 0  # where the reply begins in `tokens`


@dataclass(frozen=True, kw_only=True)
class Reward(Component, ABC):
    """How good replies are: the more, the better. A list of rewards is one reward, their weighted sum."""

    weight: float = 1.0  # of this reward in the sum of all; negative: the less, the better

    collective: ClassVar[bool] = False  # it is called on every rank of a model-parallel group; otherwise on one, which tells the others
    sample_answer: ClassVar[str] = "72"  # an answer such as it reads: its conformance gives it to every reply

    def __post_init__(self) -> None:
        """A component with checks of its own calls this one too."""
        if not math.isfinite(self.weight):
            raise ValueError(f"weight is {self.weight}; it is a finite number")

    def lacks(self, answer: str | None) -> str:
        """Why replies to a prompt with this answer can't be scored, in a few words that follow "its answer": "is no number"; "": they can.

        It is asked of every prompt before training, which `scores` would end in the middle of."""
        return ""

    @abstractmethod
    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """One score for each reply, in their order; each depends on its own reply alone.

        ValueError, in one line: an example lacks what this reward needs, such as an answer.
        """

    @contextmanager
    def opened(self, how: Mapping[str, Any]) -> Iterator[Callable[[Sequence[Asked]], list[Score]]]:
        """Something like `scores`, for as long as it is used: a reward that has much to load does so once, here.

        `how` holds the run's parts that a model is built with: "parallel", "precision", "kernel", "attention", "seed".
        """
        yield self.scores
