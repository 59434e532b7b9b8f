"""Evaluators: what a trained model is judged by."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright.component import Component

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True)
class Score:
    """One number of a model, with the interval that it would have in 95 of 100 such samples."""

    name: str  # of the score, within its evaluator
    value: float  # of this model on these examples
    low: float  # of the 95 % interval
    high: float  # of the 95 % interval
    count: int  # what it is measured on: examples, documents, pairs …
    better: Literal["higher", "lower"] = "higher"  # which way a model improves

    def __post_init__(self) -> None:
        if not self.name or any(letter.isspace() for letter in self.name):
            raise ValueError(f"name is {self.name!r}; it is a word: the manifest and trackers bear it")
        if not (math.isfinite(self.value) and self.low <= self.value <= self.high and self.count > 0):
            raise ValueError(
                f"{self.name} is {self.value} of {self.count}, from {self.low} to {self.high}; it is a number within its interval"
            )


class Evaluator(Component, ABC):
    """Something that a model is judged by. Stage `evaluate` runs those that `evaluator` lists, each on the same model."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Kinds of examples, any of which it wants held out, as `Model.examples` (stage `evaluate` with `evaluate.examples=true`)."""

    reads_shards: ClassVar[bool] = False
    """It wants the token shards that the model was pretrained on, as `Model.shards` (stage `evaluate` with `evaluate.text=true`)."""

    @property
    def goes_on(self) -> bool:
        """It has the generator go on from texts that are no conversations, which a server does not."""
        return False

    @property
    def draws(self) -> bool:
        """It has the generator draw texts, after prompts that a model is to see with them."""
        return False

    @property
    def of_weights(self) -> bool:
        """What it says depends on the model's weights. One that says the same of any model is asked once, also where several checkpoints
        of a training are judged."""
        return True

    def problems(self) -> list[str]:
        """Why it can't judge any model, one line each, before anything is trained: a file that is missing, say."""
        return []

    def misfits(self, parts: Parts) -> list[str]:
        """Why it can't judge a model together with these, one line each: "parallel", "generator", and what else stage `evaluate` uses."""
        return []

    def overflows(self, length: int, parts: Parts) -> list[str]:
        """Why a model that sees `length` tokens at once can't do what it asks, one line each; asked beforehand, where that is known."""
        from modelwright_plugins.generator import Remote

        most = parts["generator"].max_new_tokens if self.draws and not isinstance(parts["generator"], Remote) else 0
        if most < length:
            return []
        return [f"generator.max_new_tokens={most} leave no room for what is asked, as the model sees {length} tokens; at most {length - 1}"]

    @abstractmethod
    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        """The model's scores, each with a name of its own. Every rank calls it and asks the model the same; where `model.first`, it may
        write what people want to read (replies, say) into `out`, which exists and is its own. It draws every random choice from `seed`.

        Raises ModelwrightError for what can't be measured, in one line."""
