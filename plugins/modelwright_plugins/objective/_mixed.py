"""Examples of several objectives in one batch: what each lacks is filled in, and each finds its own again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.objective import Example, Objective, Passage

PART, COLUMNS = "loss_part", "loss_columns"

Form = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""The shape and type of each array of an example."""


def longest(spans: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """For each stretch of text, the length that is wanted most of."""
    return tuple(map(max, zip_longest(*spans, fillvalue=0)))


def cut(passage: Passage, lengths: tuple[int, ...], random: np.random.Generator) -> Passage:
    """With stretches of these lengths, each from anywhere in what there is."""
    spans = zip(passage.spans, lengths, strict=False)
    first = [(span, int(random.integers(len(span) - length + 1)), length) for span, length in spans]
    return replace(passage, spans=tuple(span[start : start + length] for span, start, length in first))


@dataclass(frozen=True)
class Mixed:
    """Examples of all parts in one form, for sequences of one length."""

    parts: list[Objective]
    spans: list[tuple[int, ...]]  # that each part wants
    forms: list[Form]  # of each part
    form: Form  # of all

    @classmethod
    def of(cls, named: Mapping[str, Objective], passage: Passage) -> Mixed:
        """Each part is asked for one example of this passage, to see its form. Raises ModelwrightError if they don't go together."""
        parts, random = list(named.values()), np.random.default_rng(0)
        spans = [part.spans(passage.length) for part in parts]
        forms = []
        for part, lengths in zip(parts, spans, strict=True):
            example = part.example(cut(replace(passage, random=random), lengths, random))
            forms.append({name: (value.shape, value.dtype) for name, value in example.items()})
        neutral = {name for part in parts for name in part.neutral}
        form: Form = {}
        for name in dict.fromkeys(name for each in forms for name in each):
            without = [owner for owner, each in zip(named, forms, strict=True) if name not in each]
            having = {owner: each[name] for owner, each in zip(named, forms, strict=True) if name in each}
            if without and name not in neutral and not name.startswith("loss_"):
                raise ModelwrightError(
                    f"objective.weights: {next(iter(having))} gives the model {name}, and {without[0]} does not, so they can't be mixed"
                )
            shapes = {owner: shape for owner, (shape, _) in having.items()}
            shape = longest(shapes.values())
            for owner, one in shapes.items():
                if one[1:] != shape[1:] and name != "labels":
                    other = next(other for other, its in shapes.items() if its[1:] != one[1:])
                    raise ModelwrightError(
                        f"objective.weights: {owner} gives {name} the shape {one}, and {other} {shapes[other]}, so they can't be mixed"
                    )
            form[name] = shape, np.result_type(*(kind for _, kind in having.values()))
        return cls(parts, spans, forms, form)

    def example(self, which: int, passage: Passage, random: np.random.Generator) -> Example:
        """Of this part."""
        part, given = self.parts[which], {}
        example = part.example(cut(passage, self.spans[which], random))
        neutral = {name: value for other in self.parts for name, value in other.neutral.items()}
        for name, (shape, kind) in self.form.items():
            if name in example:
                given[name] = widened(name, example[name].astype(kind, copy=False), shape)
            else:
                given[name] = np.full(shape, neutral.get(name, 0), dtype=kind)
        given[PART] = np.array(which)
        if "labels" in self.form and len({form["labels"][0][1:] for form in self.forms}) > 1:
            own = self.forms[which]["labels"][0][1:]
            given[COLUMNS] = np.array(own[0] if own else 0)
        return given


def widened(name: str, array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """With more positions, or more columns of labels: they have no target, and padding sees itself."""
    if array.shape == shape:
        return array
    found = np.full(shape, -1 if name.endswith("labels") else 0, dtype=array.dtype)
    if name == "cross_attention_mask":
        found[:, 1] = 1  # padding sees something, as a softmax needs
    elif name.endswith("attention_mask"):
        found[:] = np.arange(shape[0])[:, None] + [0, 1]
    found[tuple(map(slice, array.shape)) + (0,) * (len(shape) - array.ndim)] = array
    return found


def rows_of(which: int, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]] | None:
    """The rows of this part, as it would have them alone; None if there are none."""
    rows = inputs[PART] == which
    if not rows.any():
        return None
    mine = {name: value if value is None else value[rows] for name, value in inputs.items()}
    output = output[rows]
    if COLUMNS in mine:
        own = int(mine[COLUMNS][0])
        output, mine["labels"] = ((each[..., :own] if own else each[..., 0]) for each in (output, mine["labels"]))
    return output, mine
