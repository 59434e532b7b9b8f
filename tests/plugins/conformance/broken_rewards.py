"""Rewards that break one promise each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from broken_table import breaks

from modelwright_plugins.conformance.examples.reward.reward import DistinctWords
from modelwright_plugins.reward import Asked


class Scoring(DistinctWords):
    def scores(self, asked: Sequence[Asked]) -> Any:
        return [self.change(found, each) for found, each in zip(super().scores(asked), asked, strict=True)]

    def change(self, found: Any, each: Asked) -> Any:
        return found


@breaks("reward", "empty: ZeroDivisionError")
class Dividing(Scoring):
    def change(self, found: Any, each: Asked) -> Any:
        return 1 / len(each.reply)


@breaks("reward", "gave nan to reply 0")
class Undefined(Scoring):
    def change(self, found: Any, each: Asked) -> Any:
        return found or float("nan")


@breaks("reward", "steps of reply 2 end at")
class Outside(Scoring):
    def change(self, found: Any, each: Asked) -> Any:
        return [(len(each.reply) + 1, 1.0)] if len(each.reply) > 100 else found


@breaks("reward", "gave 10 scores to 11 replies")
class Skipping(Scoring):
    def scores(self, asked: Sequence[Asked]) -> Any:
        return super().scores(asked)[1:] if len(asked) > 1 else super().scores(asked)


@breaks("reward", "they gave [0.0]")
class Inventing(Scoring):
    def scores(self, asked: Sequence[Asked]) -> Any:
        return super().scores(asked) or [0.0]


@breaks("reward", "'empty' got 1 and, again, 2")
class Counting(Scoring):
    calls: list[int] = []  # noqa: RUF012

    def scores(self, asked: Sequence[Asked]) -> Any:
        self.calls.append(1)
        return [len(self.calls)] * len(asked)


@breaks("reward", "in another order")
class Relative(Scoring):
    def scores(self, asked: Sequence[Asked]) -> Any:
        return [*range(len(asked))]


@breaks("reward", "alone")
class Centred(Scoring):
    def scores(self, asked: Sequence[Asked]) -> Any:
        found = super().scores(asked)
        return [each - sum(found) / len(found) for each in found]


@breaks("reward", "of the answer 'None': ('TypeError'")
class Trusting(Scoring):
    def change(self, found: Any, each: Asked) -> Any:
        return found + len(each.answer)  # type: ignore[arg-type]


@breaks("reward", "by `scores`")
class Otherwise(Scoring):
    @contextmanager
    def opened(self, how: Any) -> Iterator[Any]:
        yield lambda asked: [0.5] * len(asked)


@breaks("reward", "it imports torch")
class Heavy(Scoring):
    def scores(self, asked: Sequence[Asked]) -> Any:
        import torch

        assert torch
        return super().scores(asked)


@breaks("reward", "there")
class Hashed(Scoring):
    def change(self, found: Any, each: Asked) -> Any:
        return float(hash(each.reply) % 1000)
