"""Whether a model finds right sentences likelier than wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.evaluator import Evaluator, Score

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True, kw_only=True)
class MinimalPairs(Evaluator):
    """How often the model finds the right sentence of a pair likelier (BLiMP, Warstadt et al. 2020, arXiv:1912.00582)."""

    right: list[str] = field(default_factory=lambda: ["The cats sleep.", "She sees herself.", "Who did you see?"])  # a sentence a pair
    wrong: list[str] = field(default_factory=lambda: ["The cats sleeps.", "She sees himself.", "Who did see you saw?"])  # as many

    def __post_init__(self) -> None:
        if len(self.right) != len(self.wrong) or not self.right:
            raise ValueError(
                f"right has {len(self.right)} sentences; it has as many as wrong, which has {len(self.wrong)}, and one at least"
            )

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator.interval import proportion

        found = model.likelihoods([("", sentence) for sentence in [*self.right, *self.wrong]])
        right, wrong = found[: len(self.right)], found[len(self.right) :]
        hits = [one.nats < other.nats for one, other in zip(right, wrong, strict=True)]
        if model.first:  # one rank writes what people may want to read
            lines = [f"{'+' if hit else '-'} {right}\n" for hit, right in zip(hits, self.right, strict=True)]
            (out / "pairs.txt").write_text("".join(lines), encoding="utf-8")
        return [proportion("accuracy", hits)]
