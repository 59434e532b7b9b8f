"""Rows of prepared examples before a model: their targets' likelihood, and the prompt and reply that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelwright_plugins.evaluator.model import Likelihood

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.examples import StoredExamples
    from modelwright_plugins.evaluator.model import Model


def targets(model: Model, rows: Sequence[int]) -> list[Likelihood]:
    """How likely the targets of each row are, given all before each."""
    assert model.examples is not None
    stored = [model.examples.row(row) for row in rows]
    nats = model.nats([tokens.tolist() for tokens, _ in stored])
    return [Likelihood(float(each[mask[1:] == 1].sum()), int(mask[1:].sum())) for each, (_, mask) in zip(nats, stored, strict=True)]


def values(model: Model, rows: Sequence[int]) -> list[float]:
    """What a reward model says of each row, which is read to its end."""
    assert model.examples is not None
    return [float(each[-1]) for each in model.trained.values([model.examples.row(row)[0].tolist() for row in rows])]


def last_reply(examples: StoredExamples, row: int) -> int | None:
    """The place of the first token of what the assistant says last in a row; None: its last turn is no target."""
    _, mask = examples.row(row)
    if not len(mask) or not mask[-1]:
        return None
    context = np.flatnonzero(mask == 0)
    return int(context[-1]) + 1 if len(context) else None
