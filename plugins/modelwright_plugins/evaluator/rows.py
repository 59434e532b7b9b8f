"""Rows of prepared examples before a model: their targets' likelihood, and the prompt and reply that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator.model import Likelihood

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.examples import StoredExamples
    from modelwright_plugins.evaluator.model import Model


def targets(model: Model, rows: Sequence[int]) -> list[Likelihood]:
    """How likely the targets of each row are, given all before each."""
    assert model.examples is not None
    refuse_longer(model, rows, model.trained.sequence_length + 1)
    stored = [model.examples.row(row) for row in rows]
    nats = model.nats([tokens.tolist() for tokens, _ in stored])
    return [Likelihood(float(each[mask[1:] == 1].sum()), int(mask[1:].sum())) for each, (_, mask) in zip(nats, stored, strict=True)]


def values(model: Model, rows: Sequence[int]) -> list[float]:
    """What a reward model says of each row, which is read to its end."""
    assert model.examples is not None
    refuse_longer(model, rows, model.trained.sequence_length)
    return [float(each[-1]) for each in model.trained.values([model.examples.row(row)[0].tolist() for row in rows])]


def refuse_longer(model: Model, rows: Sequence[int], most: int) -> None:
    """ModelwrightError: a stored row has more than `most` tokens."""
    examples = model.examples
    assert examples is not None
    lengths = examples.lengths[list(rows)]
    if not len(lengths) or (size := int(lengths.max())) <= most:
        return
    raise ModelwrightError(
        f"{examples.folder} (held_out): {examples.id_of(rows[int(lengths.argmax())])} has a row of {size:,} tokens, and the model reads "
        f"{most:,}; train with align.sequence_length={size - most + model.trained.sequence_length}, or have prepare leave such rows out: "
        f"prepare.max_length={most}"
    )


def last_reply(examples: StoredExamples, row: int) -> int | None:
    """The place of the first token of what the assistant says last in a row; None: its last turn is no target."""
    _, mask = examples.row(row)
    if not len(mask) or not mask[-1]:
        return None
    context = np.flatnonzero(mask == 0)
    return int(context[-1]) + 1 if len(context) else None
