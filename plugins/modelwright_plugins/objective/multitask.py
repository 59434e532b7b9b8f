"""A weighted mix of objectives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import nearest
from modelwright_plugins.objective import Objective
from modelwright_plugins.parts import built_parts

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.objective import Example, Passage
    from modelwright_plugins.objective._mixed import Mixed


@dataclass(frozen=True, kw_only=True)
class Multitask(Objective):
    """A weighted mix of objectives: each sequence is of one of them, drawn by weight.

    As T5 mixes tasks (Raffel et al. 2020, arXiv:1910.10683, section 3.5.2). The loss is the sum of the parts' losses, each of its own
    sequences, over the number of targets of all: a target counts the same in whatever part it is. All parts train one architecture, and
    have one vocabulary, with the special tokens of all. Where they want stretches of text of different lengths, one is drawn as long as
    the longest, and a part has as much of it as it wants, from anywhere.
    """

    weights: dict[str, float]  # share of sequences of each part, in proportion; a part's name is an objective's, or stands in `parts`
    parts: dict[str, dict[str, Any]] | None = None  # settings of parts; `name` is the objective's, where the part has another name

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights is empty; it has a weight for each part, such as {causal_lm: 0.7, fill_in_the_middle: 0.3}")
        for name, weight in self.weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"weights.{name} is {weight}; it is a number above 0")
        given = self.parts or {}
        for part in given:
            if part not in self.weights:
                raise ValueError(f"parts.{part}: weights has no part of that name{nearest(part, self.weights)}")
        whole, _ = built_parts("objective", {part: given.get(part) for part in self.weights}, own=Multitask, names="weights")
        object.__setattr__(self, "parts", whole)  # a frozen config says all that is trained

    @cached_property
    def objectives(self) -> dict[str, Objective]:
        """The parts, by their names."""
        return built_parts("objective", self.parts or {}, own=Multitask)[1]

    @property
    def architectures(self) -> tuple[str, ...]:  # type: ignore[override]
        """The families that every part trains."""
        first, *others = self.objectives.values()
        return tuple(family for family in first.architectures if all(family in other.architectures for other in others))

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(token for part in self.objectives.values() for token in part.special_tokens))

    @property
    def needs(self) -> dict[str, Any]:
        return {name: value for part in self.objectives.values() for name, value in part.needs.items()}

    @property
    def reference(self) -> Path | None:
        return next(iter(self.objectives.values())).reference

    def fingerprint(self) -> str:
        return " ".join(filter(None, (part.fingerprint() for part in self.objectives.values())))

    def spans(self, length: int) -> tuple[int, ...]:
        from modelwright_plugins.objective._mixed import longest

        return longest(part.spans(length) for part in self.objectives.values())

    def lengths(self, length: int) -> tuple[int, ...]:
        from modelwright_plugins.objective._mixed import longest

        return longest(part.lengths(length) for part in self.objectives.values())

    def example(self, passage: Passage) -> Example:
        chance = passage.random.spawn(1)[0]  # what a part draws is what it would draw alone
        form = passage.length, passage.vocabulary.size
        if form not in self._mixed:
            from modelwright_plugins.objective._mixed import Mixed

            self._mixed[form] = Mixed.of(self.objectives, passage)
        total = sum(self.weights.values())
        which = int(chance.choice(len(self.weights), p=[weight / total for weight in self.weights.values()]))
        return self._mixed[form].example(which, passage, chance)

    @cached_property
    def _mixed(self) -> dict[tuple[int, int], Mixed]:
        return {}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        from modelwright_plugins.objective._mixed import rows_of

        sums, counts = [], []
        for which, part in enumerate(self.objectives.values()):
            if mine := rows_of(which, output, inputs):
                total, count = part.loss(*mine)
                sums.append(total)
                counts.append(count)
        return torch.stack(sums).sum(), torch.stack(counts).sum().to(torch.int)

    def problems(self, architecture: Architecture) -> list[str]:
        if not self.architectures:
            told = "; ".join(f"{name} trains {' or '.join(part.architectures)}" for name, part in self.objectives.items())
            return [f"objective.weights: no architecture can be trained by all its parts: {told}"]
        found = [
            f"objective.parts.{name}: {line.replace('take objective.', f'take objective.parts.{name}.')}"
            for name, part in self.objectives.items()
            for line in part.problems(architecture)
        ]
        teachers = {name: part.reference for name, part in self.objectives.items()}
        if len({*teachers.values()}) > 1:
            (one, its), (other, others) = next((a, b) for a in teachers.items() for b in teachers.items() if a[1] and a[1] != b[1])
            why = f"another, {others}" if others else "none: one reads the model's logits, the other the losses it makes of them"
            found.append(f"objective.weights: {one} and {other} can't be mixed, as {one} has the teacher {its}, and {other} {why}")
        return found
