"""Which model a run's stages go on from, as far as that is known before anything runs, and what it can't be taken for.

A stage sees its own parts alone, so that this is asked of a run as a whole, and of the phases of a pipeline one after the other
(`wanted` asks)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright.assemble import Bound
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import conform
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.artifacts import Checkpoint, Tokenizer
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.quantizer import Quantizer
from modelwright_plugins.stage.align import Align
from modelwright_plugins.stage.evaluate import Evaluate
from modelwright_plugins.stage.export import Export
from modelwright_plugins.stage.import_model import ImportModel
from modelwright_plugins.stage.merge import Merge
from modelwright_plugins.stage.quantize import Quantize
from modelwright_plugins.stage.train import Train

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

    @classmethod
    def saved(cls, folder: Path) -> Model | None:
        """That of a checkpoint's folder; None: it can't be told, and who reads it says why."""
        try:
            card = ModelCard.read(folder / "model.json", discover().registry)
            adapter = (folder / "adapter.json").is_file()
            return cls(str(folder), card.architecture, _quantizer(folder / "quantizer.json"), adapter, card.sequence_length)
        except (ModelwrightError, OSError, ValueError, KeyError, TypeError):
            return None


def after(b: Bound, model: Model | None) -> Model | None:
    """What is known behind a stage that begins with this model."""
    whose, known = f"stage {b.name}", model or Model("")
    match b.stage:
        case Train():
            return Model(whose, b.parts["architecture"], length=b.stage.sequence_length)
        case Align():
            length = known.length and max(known.length, b.stage.sequence_length)
            adapter = "adapter" in b.parts and b.parts["adapter"].adapts
            return replace(known, whose=whose, quantizer=None, adapter=adapter, length=length)
        case Merge():
            return replace(known, whose=whose, quantizer=None, adapter=False)
        case Quantize():
            return replace(known, whose=whose, quantizer=b.parts["quantizer"], adapter=False)
        case ImportModel():
            return Model(whose, _taken_in(b.stage.path))
    if Checkpoint in b.stage.makes:
        return None
    return replace(model, other_tokenizer=b.name) if model and Tokenizer in b.stage.makes else model


def misfits(b: Bound, model: Model | None) -> list[str]:
    """Why a stage can't take this model, one line each."""
    if model is None or Checkpoint not in b.stage.takes:
        return []
    few = f"{model.whose} has a quantized model" if model.quantizer is not None else ""
    match b.stage:
        case Train(continued=True):
            named = "train.continued=true: "
            if model.adapter:
                return [f"{named}{model.whose} has an adapter; to train further on it, merge it into its model first (the stage merge)"]
            if made := model.other_tokenizer:
                return [f"{named}{model.whose} knows other tokens than those of stage {made}; leave {made} out of stages"]
            why = few and f"{few}, which can't be trained further; train the one that it was made of"
            return [named + why] if why else [f"{named}{model.whose}: {why}" for why in _other(b.parts["architecture"], model)]
        case Align() if few:
            return [f"{few}, which can't be trained further; train the one that it was made of"]
        case Quantize() if few:
            return [f"{few} already; quantize the one that it was made of"]
        case Export():
            return _no_place(model)
        case Evaluate() if model.length is not None:
            every = b.parts["evaluator"].items()
            return [f"evaluator {name}: {line}" for name, evaluator in every for line in evaluator.overflows(model.length, b.parts)]
    return []


def _other(ours: Architecture, model: Model) -> list[str]:
    """As a training says it that finds the checkpoint."""
    if model.architecture is None:
        return []
    one, other = (ModelCard(a, TOKENS, LENGTH, end_of_document=0, seed=0) for a in (ours, model.architecture))
    why = one.difference(other)
    return [why] if why else []


def _no_place(model: Model) -> list[str]:
    """Why Hugging Face's files can't hold it."""
    from modelwright_plugins.architecture.hugging_face import config_of

    if model.adapter:
        return [f"{model.whose} has an adapter: stages=[merge,export] makes a model of it, [export_adapter] PEFT's files"]
    try:
        family = (
            config_of(model.architecture, vocab_size=TOKENS, sequence_length=LENGTH)[0].model_type
            if model.architecture is not None
            else None
        )
        if model.quantizer is not None and model.quantizer.quantizes:
            from modelwright_plugins.engine.quantized_formats import MODELS, format_of

            format_of(model.quantizer)
            if family not in (None, *MODELS):
                return [f"{model.whose}: quantized models are written for {', '.join(MODELS)}, and not for {family}"]
    except ModelwrightError as e:
        return [f"{model.whose}: {e}"]
    return []


def _taken_in(folder: Path | None) -> Architecture | None:
    from modelwright_plugins.architecture.hugging_face import read_folder

    try:
        return read_folder(folder)[2] if folder is not None else None
    except ModelwrightError:
        return None  # which the stage itself says


def _quantizer(file: Path) -> Quantizer | None:
    """The one that a checkpoint's card names."""
    if not file.is_file():
        return None
    told: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["quantizer"]
    found: Quantizer = conform(dict(told["fields"]), discover().registry.load("quantizer", str(told["name"])), f"{file}: quantizer")
    return found
