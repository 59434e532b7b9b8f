"""A pipeline's folder: `pipeline.json`, and a folder for each phase, which is an ordinary run.

Every phase's config is frozen before the first one runs, and it is what counts from then on. `pipeline.json` is written when all of them
are, so that a pipeline which is killed at any moment can go on: what is not finished is resumed, the rest is found to be whole.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from modelwright.errors import ModelwrightError
from modelwright.manifest import write_json, write_text
from modelwright.run import CONFIG, MANIFEST, locked, read_config, resume, start
from modelwright_plugins.pipeline.composing import Composed, compose, troubles
from modelwright_plugins.pipeline.page import PAGE, write_page
from modelwright_plugins.pipeline.phases import NAME, RECORD, Pipeline

LOCK = ".lock"


def begin(pipeline: Pipeline, folder: Path, words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run a pipeline in `folder`, or go on with this same one there: each phase's manifest. ModelwrightError: it has a problem."""
    phases = compose(pipeline, folder)
    if lines := troubles(phases):
        raise ModelwrightError("\n".join(lines))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK):
        if (folder / RECORD).exists():
            _the_same(phases, folder)
        else:
            _freeze(phases, pipeline, folder, words)
        return _go_on(folder)


def go_on(folder: Path) -> dict[str, dict[str, Any]]:
    """Run whatever of the pipeline in `folder` is not finished: each phase's manifest."""
    read(folder)
    with locked(folder / LOCK):
        return _go_on(folder)


def read(folder: Path) -> dict[str, Any]:
    """What `pipeline.json` says: {"recipe", "words", "next", "phases": [{"name", "from", "overrides"}]}; it may be anybody's."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        texts = [found["recipe"], *found["words"], *found["next"]]
        texts += [word for phase in found["phases"] for word in (phase["name"], phase["from"] or "", *phase["overrides"])]
        named = [phase["name"] for phase in found["phases"]]
        whole = named and all(isinstance(text, str) for text in texts) and all(NAME.fullmatch(name) for name in named)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{folder / RECORD} can't be read: {type(e).__name__}: {' '.join(str(e).split())}") from None
    if not whole:
        raise ModelwrightError(f"{folder / RECORD} is damaged: it names no phases")
    return dict(found)


def _freeze(phases: Sequence[Composed], pipeline: Pipeline, folder: Path, words: Sequence[str]) -> None:
    """Write every phase's config and then, as the last, `pipeline.json`."""
    ours = {each.phase.name for each in phases}
    for path in folder.iterdir():
        begun = path.name in ours and path.is_dir() and all(CONFIG in p.name for p in path.iterdir())  # it was killed in this function
        if path.name != LOCK and not path.name.endswith(".tmp") and not begun:
            raise ModelwrightError(f"run.dir: {folder} is not empty and is not a pipeline; name another folder", "run.dir")
    for each in phases:
        (folder / each.phase.name).mkdir(exist_ok=True)
        write_text(folder / each.phase.name / CONFIG, yaml.safe_dump(each.config, sort_keys=False, allow_unicode=True))
    record = [{"name": c.phase.name, "from": c.phase.builds_on, "overrides": list(c.phase.overrides)} for c in phases]
    write_json(folder / RECORD, {"recipe": pipeline.recipe, "words": list(words), "next": list(pipeline.next), "phases": record})


def _the_same(phases: Sequence[Composed], folder: Path) -> None:
    """ModelwrightError: the folder holds a pipeline with other phases or settings."""
    there = [phase["name"] for phase in read(folder)["phases"]]
    for each in phases:
        name = each.phase.name
        if len(there) != len(phases) or name not in there or read_config(folder / name) | {"run": each.config["run"]} != each.config:
            what = f"phase {name} has other settings" if name in there else f"phases {', '.join(there)}"
            raise ModelwrightError(f"run.dir: {folder} holds another pipeline ({what}); resume it, or name another folder", "run.dir")


def _go_on(folder: Path) -> dict[str, dict[str, Any]]:
    record, ended = read(folder), dict[str, dict[str, Any]]()
    print(f"pipeline: {folder.absolute()}", flush=True)
    for number, phase in enumerate(record["phases"], 1):
        name, run = phase["name"], folder / phase["name"]
        print(f"\nphase {number}/{len(record['phases'])}: {name}", flush=True)
        _not_moved(phase, [p["name"] for p in record["phases"]], folder)
        again = (run / MANIFEST).exists()
        try:
            ended[name] = resume(run) if again else start(read_config(run), run, phase["overrides"])
        finally:  # of a phase that failed, too
            _tell(folder, record)
    return ended


def _tell(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the page. One that can't be written can be by a later resume; hours of training can't."""
    try:
        write_page(folder, record)
    except Exception as e:
        warnings.warn(f"{folder / PAGE} could not be written: {type(e).__name__}: {e}", stacklevel=1)


def _not_moved(phase: Mapping[str, Any], names: Sequence[str], folder: Path) -> None:
    """ModelwrightError: the folder is not where it was, and a phase would take what it builds on from the old place."""
    base = read_config(folder / phase["name"])["from"]
    if phase["from"] in names and base != str(folder.absolute() / phase["from"]):
        raise ModelwrightError(f"{folder} was moved: phase {phase['name']} builds on {base}; move it back, to go on with it")
