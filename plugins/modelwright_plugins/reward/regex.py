"""Whether a reply has a form."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class Regex(Reward):
    """Whether a regular expression matches a reply: its whole, or some part.

    The `regex` package, whose expressions are `re`'s and more, as it can be stopped: a reply on which the expression takes
    longer than `seconds` counts as one that does not match (so that no reply holds up a run), and a warning says so.
    """

    pattern: str  # flags are written within, as in (?s)<think>.*</think>.* where . is any character, or (?i) and (?m)
    mode: Literal["full", "found"] = "full"  # the whole reply matches, blanks around it aside; or something in it
    right: float = 1.0  # the score of a reply that matches
    wrong: float = 0.0  # and of one that does not
    seconds: float = 1.0  # at most, a reply

    def __post_init__(self) -> None:
        import regex

        super().__post_init__()
        try:
            regex.compile(self.pattern)
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(f"pattern is {self.pattern!r}; it is no regular expression: {error}") from error
        for name in ("right", "wrong"):
            if not math.isfinite(value := getattr(self, name)):
                raise ValueError(f"{name} is {value}; it is a finite number")
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds is {self.seconds}; it is more than 0")

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        import regex

        compiled = regex.compile(self.pattern)
        match = compiled.fullmatch if self.mode == "full" else compiled.search
        found: list[Score] = []
        for each in asked:
            try:
                found.append(self.right if match(each.reply.strip(), timeout=self.seconds) else self.wrong)
            except TimeoutError:
                warnings.warn(
                    f"reward regex: {self.pattern!r} took more than {self.seconds} s on a reply of {len(each.reply)} characters; "
                    "it counts as no match",
                    stacklevel=2,
                )
                found.append(self.wrong)
        return found
