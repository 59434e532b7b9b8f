"""How texts go on, up to where the next one would begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelwright_plugins.generator.penalties import Penalties

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


def continued(model: Model, texts: Sequence[str], stops: Sequence[str]) -> list[str]:
    """How each document goes on that begins so, without the first of `stops` and what follows it."""
    generator = model.generator
    if isinstance(generator, Penalties):  # it need not draw what is cut off
        generator = replace(generator, stop=[*generator.stop, *stops])  # type: ignore[call-arg]
    return [said[: min((at for stop in stops if (at := said.find(stop)) >= 0), default=None)] for said in model.complete(texts, generator)]
