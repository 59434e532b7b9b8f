"""How often a model prefers what people prefer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.evaluator import Evaluator, Score

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True, kw_only=True)
class Preferences(Evaluator):
    """The share of held-out pairs whose chosen reply the model finds likelier, or a reward model better, than the other.

    Of a model of tokens by the whole reply's log-probability, which favours short replies, and by its mean a token, which does not (as
    SimPO compares, Meng et al. 2024, section 2.2). Equal ones count as lost.
    """

    needs: ClassVar[tuple[str, ...]] = ("preference",)

    pairs: int | None = 1000  # of those held out, the first so many; None: all

    def __post_init__(self) -> None:
        if self.pairs is not None and self.pairs < 1:
            raise ValueError(f"pairs is {self.pairs}; it is 1 or more, or null")

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator.interval import mean, proportion
        from modelwright_plugins.evaluator.rows import targets, values

        examples = model.examples
        assert examples is not None
        count = min(len(examples), self.pairs or len(examples))
        rows = [row for example in range(count) for row in examples.rows_of(example)]
        if model.trained.head == "value":
            said = values(model, rows)
            margins = [chosen - rejected for chosen, rejected in zip(said[0::2], said[1::2], strict=True)]
            return [proportion("accuracy", [margin > 0 for margin in margins]), mean("margin", margins)]
        found = targets(model, rows)
        pairs = list(zip(found[0::2], found[1::2], strict=True))
        return [
            proportion("accuracy", [chosen.nats < rejected.nats for chosen, rejected in pairs]),
            proportion("accuracy_per_token", [chosen.nats / chosen.tokens < rejected.nats / rejected.tokens for chosen, rejected in pairs]),
            mean("margin", [rejected.nats - chosen.nats for chosen, rejected in pairs]),
        ]
