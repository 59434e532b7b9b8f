"""Which kinds of examples and which models a run's stages want, beside those that it has: told before anything runs, where it can be told.

A stage sees its own parts alone, so that this is asked of a run as a whole, and of the phases of a pipeline one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.assemble import Bound, assemble, made, problems
from modelwright.component import Artifact
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.run import MANIFEST
from modelwright_plugins.artifacts import Checkpoint, Documents, Examples
from modelwright_plugins.catalogue import nearest_run
from modelwright_plugins.parts import called
from modelwright_plugins.stage.known_model import Model
from modelwright_plugins.stage.models_wanted import after, misfits
from modelwright_plugins.stage.sample_pairs import SamplePairs
from modelwright_plugins.terminal import shown


@dataclass(frozen=True)
class Known:
    """What the examples of an artifact are."""

    kinds: tuple[str, ...]  # one of these
    because: str  # "source arithmetic has conversation"


There = Mapping[type[Artifact], Any]  # Known of examples and documents, and of a checkpoint its Model


def there(run: Any) -> There:
    """Of an earlier run, None for none: the kind of its newest examples, and its newest model. ModelwrightError: there is no such run,
    with those near it."""
    if run and not (Path(run) / MANIFEST).exists():
        why = f"it has no {MANIFEST}" if Path(run).is_dir() else "there is no such folder"
        raise ModelwrightError(f"from: {shown(Path(run))} is not the folder of a run ({why}){nearest_run(Path(run))}", "from")
    found = dict[type[Artifact], Any]()
    try:
        for out, artifacts in made(run):
            if Checkpoint.name in artifacts:
                found.setdefault(Checkpoint, Model.saved(out / Checkpoint.name))
            if Examples.name in artifacts and Examples not in found:
                kind = json.loads((out / Examples.name / "examples.json").read_text(encoding="utf-8"))["kind"]
                found[Examples] = Known((kind,), f"{out / Examples.name} has {kind}")
    except (ModelwrightError, OSError, ValueError, KeyError, TypeError):
        pass  # told by who takes them
    return found


def unwanted(bound: Sequence[Bound], before: There) -> tuple[list[str], There]:
    """(which stages want others, one line each; what is known after the last stage), of stages that begin with `before`."""
    found, known = list[str](), dict(before)
    for b in bound:
        if Examples in b.stage.takes:
            found += [f"{b.name}: {line}" for line in _of_stage(b, known)]
        found += [f"{b.name}: {line}" for line in misfits(b, known.get(Checkpoint))]
        known[Checkpoint] = after(b, known.get(Checkpoint))
        if Documents in b.stage.makes:
            known.pop(Documents, None)
            if (has := _made(b)) is not None:
                known[Documents] = has
        if Examples in b.stage.makes:
            known.pop(Examples, None)
            if Documents in known:
                known[Examples] = known[Documents]
    return found, known


def refuse(config: Mapping[str, Any]) -> None:
    """ModelwrightError, with all else that is wrong: a stage of this frozen config wants other examples, or another model, than it has."""
    bound = assemble(config, discover().registry)
    if lines := unwanted(bound, there(config["from"]))[0]:
        raise ModelwrightError("\n".join([*problems(bound, config), *lines]))


def _made(b: Bound) -> Known | None:
    if isinstance(b.stage, SamplePairs):
        return Known(("preference",), f"stage {b.name} makes preference")
    try:
        kind = b.parts["source"].example_kind() if "source" in b.parts else None
    except (ModelwrightError, OSError):
        return None  # told by the stage that reads it
    return kind and Known((kind,), f"source {called('source', b.parts['source'])} has {kind}")


def _of_stage(b: Bound, known: dict[type[Artifact], Any]) -> list[str]:
    has = known.get(Examples)
    if (aligner := b.parts.get("aligner")) is not None:
        wanted, name = aligner.examples, f"aligner {called('aligner', aligner)}"
        if has is None or {*has.kinds} & {*wanted}:
            known.setdefault(Examples, Known(tuple(wanted), f"{name} learns from {' or '.join(wanted)}"))
            return []
        return [f"{name} learns from {' or '.join(wanted)}, and {has.because}"]
    lines = []
    for name, evaluator in b.parts.get("evaluator", {}).items():
        if has is not None and evaluator.needs and not {*has.kinds} & {*evaluator.needs}:
            lines.append(f"evaluator {name} wants held-out examples of {' or '.join(evaluator.needs)}, and {has.because}")
    return lines
