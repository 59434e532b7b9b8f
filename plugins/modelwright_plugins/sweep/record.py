"""`sweep.json`: what a sweep was asked for, so that it can go on where it stopped, and how its runs are ranked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.manifest import write_json
from modelwright_plugins.catalogue import recipes

RECORD = "sweep.json"
FLAGS = {"-m", "--multirun"}


def is_sweep(words: Sequence[str]) -> bool:
    """Whether these words of the command line sweep: by a flag, by `hydra.mode`, or by a recipe that says so itself."""
    import yaml

    if FLAGS & set(words) or "hydra.mode=MULTIRUN" in words:
        return True
    name = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "")
    file = recipes().get(name, Path(name) if name.endswith(".yaml") else None)
    if file is None or not file.is_file() or "hydra.mode=RUN" in words:
        return False
    try:
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError):
        return False  # composing says what is wrong with it
    mode = recipe.get("hydra", {}).get("mode") if isinstance(recipe, dict) and isinstance(recipe.get("hydra", {}), dict) else None
    return mode == "MULTIRUN"


def begin(folder: Path, words: Sequence[str]) -> None:
    """Note what the sweep in `folder` was asked for. ModelwrightError: the folder holds another sweep, or something else.

    A sweep may go on elsewhere, with more trials, or with more jobs at a time: that does not make it another.
    """
    asked = [word for word in words if word not in FLAGS and not word.startswith("run.dir=")]
    if (folder / RECORD).exists():
        earlier = read(folder)
        if _what(earlier["words"]) != _what(asked):
            raise ModelwrightError(f"run.dir: {folder} holds another sweep ({' '.join(earlier['words'])}); name another folder", "run.dir")
        write_json(folder / RECORD, {**earlier, "words": asked})
        return
    if folder.exists() and any(folder.iterdir()):
        raise ModelwrightError(f"run.dir: {folder} is not empty and is not a sweep; name another folder", "run.dir")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, {"words": asked, "cwd": str(Path.cwd()), "sweeper": "basic", "metric": None, "direction": None})


def _what(words: Sequence[str]) -> list[str]:
    how = ("hydra/launcher=", "hydra.launcher.", "hydra.sweeper.n_trials=", "hydra.sweeper.n_jobs=")
    return [word for word in words if not word.lstrip("+").startswith(how)]


def ranked(folder: Path, *, sweeper: str, metric: Sequence[str], direction: Sequence[str]) -> None:
    """Note by which numbers the sweeper ranks the runs: `metric` as `stage.number`, `direction` minimize or maximize for each."""
    told = {"sweeper": sweeper, "metric": list(metric), "direction": list(direction)}
    if (folder / RECORD).exists():
        write_json(folder / RECORD, {**read(folder), **told})


def read(folder: Path) -> Mapping[str, Any]:
    """The record of the sweep in `folder`."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ModelwrightError(f"{folder / RECORD} can't be read: {e}") from None
    if not (isinstance(found, dict) and isinstance(found.get("words"), list)):
        raise ModelwrightError(f"{folder / RECORD} is damaged: it holds no words of a command line")
    return found


def forget(folder: Path) -> None:
    """Remove what `begin` wrote when no job of the sweep ever started."""
    if folder.is_dir() and not [path for path in folder.iterdir() if path.name not in {RECORD, "multirun.yaml", "optuna.db"}]:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
