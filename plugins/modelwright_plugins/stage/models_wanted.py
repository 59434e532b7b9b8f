"""Which model a run's stages go on from, as far as that is known before anything runs, and what it can't be taken for.

A stage sees its own parts alone, so that this is asked of a run as a whole, and of the phases of a pipeline one after the other
(`wanted` asks). What becomes of a model, and which it can't take, each stage says itself (`known_model.OfModel`)."""

from __future__ import annotations

from dataclasses import replace

from modelwright.assemble import Bound
from modelwright_plugins.artifacts import Checkpoint, Tokenizer
from modelwright_plugins.stage.known_model import Model, OfModel


def after(b: Bound, model: Model | None) -> Model | None:
    """What is known behind a stage that begins with this model."""
    if Checkpoint in b.stage.makes:
        return b.stage.model_after(b.parts, model or Model(""), f"stage {b.name}") if isinstance(b.stage, OfModel) else None
    return replace(model, other_tokenizer=b.name) if model and Tokenizer in b.stage.makes else model


def misfits(b: Bound, model: Model | None) -> list[str]:
    """Why a stage can't take this model, one line each."""
    if model is None or Checkpoint not in b.stage.takes or not isinstance(b.stage, OfModel):
        return []
    return b.stage.model_misfits(b.parts, model)
