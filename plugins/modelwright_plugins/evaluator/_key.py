"""How a config names what an evaluator is set to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator import Evaluator


def key(parts: Parts, evaluator: Evaluator) -> str:
    """What the keys of its settings begin with: evaluator.NAME."""
    return next(f"evaluator.{name}" for name, each in parts["evaluator"].items() if each is evaluator)
