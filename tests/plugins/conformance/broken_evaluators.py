"""Evaluators that break one promise each."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

from broken_table import breaks

from modelwright_plugins.conformance.examples.evaluator.evaluator import MinimalPairs
from modelwright_plugins.evaluator import Score

CALLS = itertools.count()


@breaks("evaluator", "there is no kind ['pairs']")
class Needy(MinimalPairs):
    needs: ClassVar[tuple[str, ...]] = ("pairs",)


@breaks("evaluator", "it gives none")
class Mute(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return []


@breaks("evaluator", "their names are ['accuracy', 'accuracy']")
class Twice(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return super().evaluate(model, out, seed=seed) * 2


@breaks("evaluator", "are no words that a tracker takes")
class Signs(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return [Score("a%", 0.5, 0.5, 0.5, 1)]


@breaks("evaluator", "the second time there were others")
class Moody(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return [Score("calls", float(calls := next(CALLS)), calls, calls, 1)]


@breaks("evaluator", "there, there were others")
class Hashed(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return [Score("hash", float(value := hash("x") % 1_000_003), value, value, 1)]


@breaks("evaluator", "it wrote left.txt where it was started")
class Untidy(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        if "elsewhere" in Path.cwd().name:
            Path("left.txt").write_text("x")
        return super().evaluate(model, out, seed=seed)


@breaks("evaluator", "another rank has other scores")
class Alone(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        return [Score("first", float(model.first), model.first, model.first, 1)]


@breaks("evaluator", "another rank wrote")
class Everybody(MinimalPairs):
    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        out.mkdir(exist_ok=True)
        return super().evaluate(model, out, seed=seed)
