"""A model as far as it is known before anything runs, and what stages say of one: what they make of it, and why they can't take it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.component import Parts
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import conform
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.quantizer import Quantizer

TOKENS, LENGTH = 1 << 15, 1024  # of a model whose own are not known yet: what is asked here does not hang on them


@dataclass(frozen=True)
class Model:
    """A checkpoint that is there, or will be."""

    whose: str  # "stage train", or the checkpoint's folder
    architecture: Architecture | None = None  # None: not known
    quantizer: Quantizer | None = None  # None: its matrices are plain
    adapter: bool = False  # it holds an adapter, and not a whole model
    length: int | None = None  # tokens that it sees at once; None: not known
    other_tokenizer: str = ""  # the stage that made a tokenizer after this model, whose tokens are therefore others

    @property
    def few(self) -> str:
        """Whose matrices are in few bits, to begin a line with; empty where they are plain."""
        return f"{self.whose} has a quantized model" if self.quantizer is not None else ""

    @classmethod
    def saved(cls, folder: Path) -> Model | None:
        """That of a checkpoint's folder; None: it can't be told, and who reads it says why."""
        try:
            card = ModelCard.read(folder / "model.json", discover().registry)
            adapter = (folder / "adapter.json").is_file()
            return cls(str(folder), card.architecture, _quantizer(folder / "quantizer.json"), adapter, card.sequence_length)
        except (ModelwrightError, OSError, ValueError, KeyError, TypeError):
            return None


class OfModel:
    """A stage that takes or makes a model, and says so before anything runs. Behind one that makes a checkpoint and is none, nothing is
    known of its model."""

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model | None:
        """What is known of the model that it makes of `before` (of which nothing may be known), called `whose`; None: nothing."""
        return None

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        """Why it can't take this model, one line each."""
        return []


def _quantizer(file: Path) -> Quantizer | None:
    """The one that a checkpoint's card names."""
    if not file.is_file():
        return None
    told: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["quantizer"]
    found: Quantizer = conform(dict(told["fields"]), discover().registry.load("quantizer", str(told["name"])), f"{file}: quantizer")
    return found
