"""Several replies to one prompt, of a generator that draws the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.generator import Generator


def alike(generator: Generator) -> bool:
    """Its seed decides nothing."""
    from modelwright_plugins.generator.beam import Beam
    from modelwright_plugins.generator.contrastive_search import ContrastiveSearch

    searches = isinstance(generator, Beam | ContrastiveSearch)
    return searches or getattr(generator, "temperature", None) == 0 or getattr(generator, "top_k", None) == 1


def tell_alike(model: Model, setting: str, count: int) -> None:
    """Prints that `count` replies to each prompt, asked for by `setting`, are one."""
    if model.first and count > 1 and alike(model.generator):
        name = type(model.generator).__name__
        print(
            f"  {setting}={count}, but {name} as it is set draws the same each time: all of them are one (temperature above 0?)", flush=True
        )
