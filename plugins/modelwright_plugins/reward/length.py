"""How long a reply is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelwright_plugins.reward import Asked, Reward, Score


@dataclass(frozen=True, kw_only=True)
class Length(Reward):
    """0 for a reply of the right length; less for one too long or too short, and for each token of it, if you like.

    With `most` and `cushion` it is DAPO's soft overlong punishment (Yu et al. 2025, arXiv:2503.14476, eq. 13): 0 up to
    `most`, -1 from `most + cushion` on, and a straight line between. `least` is the same from below.
    """

    unit: Literal["tokens", "words", "characters"] = "tokens"  # what is counted; tokens are the model's, its end token with them
    least: int = 0  # units; shorter replies are punished
    most: int | None = None  # units; longer replies are punished; null: none is too long
    cushion: int = 0  # units beyond `least` or `most` over which the punishment grows to its whole; 0: at once
    punishment: float = 1.0  # taken off a reply that is too long or too short by `cushion` or more
    per_unit: float = 0.0  # added for each unit; -0.001 makes brevity worth something
    unfinished: float = 0.0  # added to a reply that ran out of room before its end; -1 makes it as bad as one too long

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least < 0:
            raise ValueError(f"least is {self.least}; it is 0 or more")
        if self.most is not None and self.most < self.least:
            raise ValueError(f"most is {self.most}; it is at least `least`, {self.least}")
        if self.cushion < 0:
            raise ValueError(f"cushion is {self.cushion}; it is 0 or more")
        for name in ("punishment", "per_unit", "unfinished"):
            if not math.isfinite(value := getattr(self, name)):
                raise ValueError(f"{name} is {value}; it is a finite number")
        if self.punishment < 0:
            raise ValueError(f"punishment is {self.punishment}; it is taken off, so it is 0 or more")

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        return [self._score(each) for each in asked]

    def _score(self, asked: Asked) -> float:
        long = {"tokens": len(asked.tokens) - asked.begin, "words": len(asked.reply.split()), "characters": len(asked.reply)}[self.unit]
        beyond = max(self.least - long, 0 if self.most is None else long - self.most, 0)
        share = min(1.0, beyond / self.cushion) if self.cushion else float(beyond > 0)
        return self.per_unit * long - self.punishment * share + (0.0 if asked.finished else self.unfinished)
