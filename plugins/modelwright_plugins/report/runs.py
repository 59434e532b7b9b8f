"""What runs left behind, read for a comparison: settings, how each ended, its numbers, its loss curve."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.run import CONFIG, MANIFEST, read_config, read_manifest
from modelwright.schema import RESERVED
from modelwright_plugins.artifacts import Metrics, TokenShards
from modelwright_plugins.results import headline
from modelwright_plugins.sweep.record import RECORD
from modelwright_plugins.sweep.record import read as record

UNTOLD = ("run", "next", "tracker")  # of a config: where a run writes and whom it tells, not what it does


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run, as its folder tells it."""

    name: str  # of its folder, with as much of the path as tells it from the others
    folder: Path
    status: str  # finished, failed, pruned, stopped, running, or killed (the manifest says running, and nobody works on it)
    error: str | None  # why it ended early
    overrides: Sequence[str]
    settings: Mapping[str, Any]  # the frozen config with flat keys: optimizer.lr, optimizer.name
    whole: bool  # False: it failed before it had a config, and its settings are only those that its overrides name
    metrics: Mapping[str, float]  # stage.name -> number
    seconds: float  # of the stages that it ran itself
    shards: str | None = None  # the hash of the tokens that it was evaluated on
    curve: Sequence[tuple[int, int | None, float]]  # (step, tokens so far, loss) of each training step whose loss is a number


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What `sweep.json` in a sweep's folder says."""

    words: Sequence[str] = ()  # the command line
    objectives: Sequence[tuple[str, bool]] = ()  # (metric, more is better)


def folders(paths: Sequence[Path]) -> list[Path]:
    """The folders of the runs that these are, or that are one folder down; a ModelwrightError about the first that is neither."""
    found: dict[Path, Path] = {}
    for path in paths:
        jobs = [path] if (path / MANIFEST).exists() else sorted((p.parent for p in path.glob(f"*/{MANIFEST}")), key=_in_order)
        if not jobs:
            raise ModelwrightError(f"{path} is neither a run nor a sweep: there is no {MANIFEST} in it or one folder down")
        found |= {job.resolve(): job for job in jobs if job.resolve() not in found}
    return list(found.values())


def read(runs: Sequence[Path]) -> list[Ran]:
    """These runs, in order."""
    places = [run.resolve() for run in runs]
    shared = Path(os.path.commonpath([place.parent for place in places]))
    return [_read(run, str(place.relative_to(shared))) for run, place in zip(runs, places, strict=True)]


def swept(folder: Path) -> Swept:
    """What `sweep.json` says; nothing, when there is none."""
    if not (folder / RECORD).exists():
        return Swept()
    told = record(folder)
    metrics, directions = told.get("metric") or [], told.get("direction") or []
    if len(metrics) != len(directions):
        raise ModelwrightError(f"{folder / RECORD} is damaged: it has {len(metrics)} metrics and {len(directions)} directions")
    objectives = [(str(metric), direction == "maximize") for metric, direction in zip(metrics, directions, strict=True)]
    return Swept(words=[str(word) for word in told["words"]], objectives=objectives)


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """A frozen config with flat keys. A kind that takes a list has the names that were picked under its own name."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key not in UNTOLD:
            if isinstance(value, dict) and all(isinstance(part, dict) and RESERVED in part for part in value.values()):
                found[key] = list(value)
            found |= dict(_leaves(key, value))
    return found


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield key, value
        return
    for name, below in value.items():
        yield from _leaves(f"{key}.{name}", below)


def _in_order(job: Path) -> tuple[int, str]:
    return len(job.name), job.name  # 2 before 10


def _read(folder: Path, name: str) -> Ran:
    manifest = read_manifest(folder)
    whole = (folder / CONFIG).exists()
    overrides = [str(o) for o in manifest.get("overrides") or []]
    stages = manifest.get("stages") or {}
    numbers = headline({"stages": stages})
    return Ran(
        name=name,
        folder=folder,
        status=_status(folder, manifest),
        error=manifest.get("error"),
        overrides=overrides,
        settings=flattened(read_config(folder)) if whole else _asked(overrides),
        whole=whole,
        metrics={key: value for key, value in numbers.items() if isinstance(value, (int, float)) and not isinstance(value, bool)},
        seconds=sum(stage.get("seconds") or 0 for stage in stages.values() if "reused_from" not in stage),
        shards=(stages.get("evaluate", {}).get("inputs") or {}).get(TokenShards.name),
        curve=_curve(folder),
    )


def _status(folder: Path, manifest: Mapping[str, Any]) -> str:
    """The manifest's, but a run that nobody works on is not running: whoever did was killed."""
    status = str(manifest.get("status"))
    if status == "running":
        try:
            with (folder / ".lock").open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return "killed"
        except OSError:  # somebody holds it, or it is not ours to hold
            return "running"
        return "killed"
    return status


def _asked(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings that overrides name, for a job that failed before it had a config: its recipe may not even compose."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from modelwright.hooks import discover

    kinds = discover().registry.kinds
    found: dict[str, Any] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        key = key.lstrip("+~")
        value: Any = text
        with contextlib.suppress(HydraException):
            value = OverridesParser.create().parse_override(override).value()
        if key in kinds and isinstance(value, str):
            found |= {key: [value]} if kinds[key].many else {f"{key}.{RESERVED}": value}
        else:
            found[key] = value
    return {key: value for key, value in found.items() if key.partition(".")[0] not in UNTOLD}


def _curve(folder: Path) -> list[tuple[int, int | None, float]]:
    """The training losses; those of a stage that has not finished are in its own folder only."""
    file = next((f for f in (folder / Metrics.name, *sorted(folder.glob(f"*/{Metrics.name}"))) if f.is_file()), None)
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a kill cuts the last line; a loss that blew up is null
            row = json.loads(line)
            step, tokens, loss = int(row["step"]), row.get("tokens"), float(row["loss"])
            if math.isfinite(loss):
                found.append((step, None if tokens is None else int(tokens), loss))
    return found
