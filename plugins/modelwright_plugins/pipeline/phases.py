"""A pipeline's file: its phases, each a name and overrides, and how the words of a command line are shared out among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from modelwright.component import Settings
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright_plugins.catalogue import recipes

RECORD = "pipeline.json"  # in a pipeline's folder
SETTINGS = tuple(f.name.rstrip("_") for f in fields(Settings))
KEYS, OF_A_PHASE = ("pipeline", "next"), ("name", "from", "overrides")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # a folder, and the beginning of an override


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One run of a pipeline."""

    name: str  # its folder's, too
    overrides: tuple[str, ...] = ()  # as on a command line
    builds_on: str | None = None  # an earlier phase, or (with a / in it) the folder of a run; None: on nothing


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The phases in their order."""

    recipe: str  # its name, or the file of a person's own
    phases: tuple[Phase, ...]
    next: tuple[str, ...] = ()  # overrides worth trying after it

    def names(self) -> list[str]:
        return [phase.name for phase in self.phases]


def spelled(words: Sequence[str]) -> list[str]:
    """The words with `pipeline=NAME` as what it is short for."""
    return [f"recipe=pipeline/{word.partition('=')[2]}" if word.startswith("pipeline=") else word for word in words]


def asked(words: Sequence[str]) -> Pipeline | None:
    """The pipeline that these words name; None when they name a recipe of one run, or nothing that is there."""
    named = [word.partition("=")[2].strip("'\"") for word in spelled(words) if word.startswith("recipe=")]
    if not named:
        return None
    if any(word.startswith("pipeline=") for word in words) and named[-1] not in recipes():
        known = [name.removeprefix("pipeline/") for name in recipes() if name.startswith("pipeline/")]
        short = named[-1].removeprefix("pipeline/")
        raise ModelwrightError(f"no pipeline named {short!r}{nearest(short, known)}")
    file = Path(named[-1]) if named[-1].startswith((".", "/")) else recipes().get(named[-1])
    return read(file, named[-1]) if file is not None and is_pipeline(file) else None


def is_pipeline(file: Path) -> bool:
    """Whether this recipe is a list of phases."""
    return file.is_file() and re.search(r"^pipeline\s*:", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE) is not None


def read(file: Path, recipe: str) -> Pipeline:
    """The pipeline in a file. ModelwrightError, with the file's name, about the first thing that is not right."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        what = "UTF-8" if isinstance(e, UnicodeDecodeError) else "YAML"
        raise ModelwrightError(f"{file}: not {what}: {' '.join(str(e).split())}") from e
    try:
        return _pipeline(found, recipe)
    except ValueError as e:
        raise ModelwrightError(f"{file}: {e}") from e


def _pipeline(found: Any, recipe: str) -> Pipeline:
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}; it has the key pipeline, with a list of phases")
    _known(found, KEYS, "a pipeline's file")
    if not isinstance(found["pipeline"], list) or not found["pipeline"]:
        raise ValueError("pipeline: it is a list of phases, each with a name and overrides")
    phases: list[Phase] = []
    for number, node in enumerate(found["pipeline"], 1):
        phases.append(_phase(node, f"phase {number}", phases))
    return Pipeline(recipe=recipe, phases=tuple(phases), next=tuple(_words(found.get("next"), "next")))


def _phase(node: Any, where: str, before: Sequence[Phase]) -> Phase:
    if not isinstance(node, dict) or not isinstance(node.get("name"), str):
        raise ValueError(f"{where}: {node!r:.60} has no name; a phase is `- name: NAME` with its overrides")
    name, registry = node["name"], discover().registry
    _known(node, OF_A_PHASE, f"phase {name!r}")
    taken = "setting" if name in (*SETTINGS, "hydra", "pipeline") else "kind" if name in registry.kinds else ""
    taken = "stage" if name in registry.names("stage") else taken
    if not NAME.fullmatch(name) or taken or name in [phase.name for phase in before]:
        why = f"that is a {taken}" if taken else "there is one already" if NAME.fullmatch(name) else "it has letters, digits, _ and -"
        raise ValueError(f"a phase can't be called {name!r}: {why}")
    base = node.get("from", before[-1].name if before else None)
    if base is not None and not isinstance(base, str):
        raise ValueError(f"phase {name!r}: from: {base!r} is no name of a phase")
    _is_there(base, name, before)
    return Phase(name=name, overrides=tuple(_words(node.get("overrides"), f"phase {name!r}: overrides")), builds_on=base)


def _is_there(base: str | None, name: str, before: Sequence[Phase]) -> None:
    """What a phase builds on is a phase before it, the folder of a run, or nothing."""
    known = [phase.name for phase in before]
    if base is not None and "/" not in base and base not in known:
        hint = nearest(base, known) if known else "; it is the first: nothing is before it"
        raise ValueError(f"phase {name!r}: from: no phase before it is called {base!r}{hint} (a run's folder has a / in it)")


def _known(node: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in node:
        if key not in keys:
            raise ValueError(f"{where} has no key {key!r}{nearest(str(key), keys)}; what every phase shares is written on the command line")


def _words(given: Any, where: str) -> list[str]:
    """The overrides of a list, in order; a list within it (YAML's `*alias` of another phase's, say) stands for what it holds."""
    if given is None:
        return []
    if not isinstance(given, list) or any(not isinstance(word, str | list) for word in given):
        raise ValueError(f"{where}: {given!r:.80}; it is a list of words such as train.steps=10 (quote one that holds ': ' or a #)")
    found = [each for word in given for each in (_words(word, where) if isinstance(word, list) else [word])]
    for word in found:
        if "=" not in word and not word.startswith("~"):
            raise ValueError(f"{where}: {word!r} is not of the form key=value")
    return found


def shared(pipeline: Pipeline, words: Sequence[str]) -> Pipeline:
    """The pipeline with what a command line says: PHASE.key=value is for that phase, key=value for every one, each after the phase's own.

    `from=RUN` is for the phases that build on nothing, PHASE.from=PHASE or =RUN for that one. `recipe` and `run.dir` are left out.
    """
    phases = {phase.name: phase for phase in pipeline.phases}
    for word in words:
        mark = word[: len(word) - len(word.lstrip("+~"))]
        key = word[len(mark) :].partition("=")[0]
        head, _, rest = key.partition(".")
        if key in {"recipe", "run.dir"} and not mark:
            continue
        of = [head] if head in phases and rest else list(phases)
        own = mark + word[len(mark) + len(head) + 1 :] if head in phases and rest else word
        _sensible(word, head, rest, phases)
        for name in of:
            phases[name] = _with(phases[name], own, pipeline, alone=len(of) == 1 and own != word)
    return replace(pipeline, phases=tuple(phases.values()))


def _with(phase: Phase, word: str, pipeline: Pipeline, *, alone: bool) -> Phase:
    """The phase with one more override; `alone`: the word is for this phase only."""
    if not word.startswith("from="):
        return replace(phase, overrides=(*phase.overrides, word))
    base = word.partition("=")[2].strip("'\"")
    if not alone:
        return phase if phase.builds_on else replace(phase, builds_on=str(Path(base).absolute()))
    before = pipeline.phases[: pipeline.names().index(phase.name)]
    try:
        _is_there(None if base == "null" else base, phase.name, before)
    except ValueError as e:
        raise ModelwrightError(f"override {phase.name}.{word}: {e}") from e
    return replace(phase, builds_on=None if base == "null" else base)


def _sensible(word: str, head: str, rest: str, phases: Mapping[str, Phase]) -> None:
    """ModelwrightError: the word begins with nothing that there is, or says what a pipeline decides itself."""
    registry = discover().registry
    whole = [*SETTINGS, *registry.picked, *registry.names("stage")]
    if head in phases and not rest:
        raise ModelwrightError(f"override {word}: {head!r} is a phase; its settings are {head}.KEY=VALUE")
    if head not in phases and head not in whole and not head.startswith("hydra") and head.partition("@")[0] not in whole:
        raise ModelwrightError(f"override {word}: no phase, setting, kind or stage is called {head!r}{nearest(head, [*phases, *whole])}")
    if head.startswith("hydra") or (head in phases and rest.startswith("hydra")):
        raise ModelwrightError(f"override {word}: a pipeline is not Hydra's to run: it takes none of hydra's settings")
    if head in phases and rest in {"run.dir", "next"}:
        raise ModelwrightError(f"override {word}: a phase's folder is that of the pipeline and its name: run.dir=FOLDER sets the first")
