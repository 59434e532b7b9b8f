"""`sweep.json`: what a sweep was asked for, so that it can go on where it stopped, and how its runs are ranked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.manifest import write_json

RECORD, LOCK = "sweep.json", ".lock"
KNOWN = ("basic", "optuna", "joblib", "submitit_local", "submitit_slurm", "ray")  # sweepers and launchers
SAID = re.compile(
    r"hydra\.(mode|sweeper\.(metric|direction|sampler|pruner|prune_on|prune_direction|params\.\w[\w./]*)|launcher\.partition)"
)
FLAGS = {"-m", "--multirun"}


def is_sweep(words: Sequence[str]) -> bool:
    """Whether these words of the command line sweep: by a flag, by `hydra.mode`, or by a recipe that says so itself."""
    if FLAGS & set(words):
        return True
    node = hydra_node(words)
    return node is not None and node.mode is not None and node.mode.name == "MULTIRUN"


def hydra_node(words: Sequence[str]) -> Any:
    """Hydra's own node for the recipe and for what the words tell Hydra; None when they are wrong: running them says how."""
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    import hydra_plugins.modelwright_optuna  # noqa: F401
    from modelwright.compose import hydrated

    try:
        return hydrated([word for word in words if word.startswith(("recipe=", "hydra"))]).hydra
    except (HydraException, OmegaConfBaseException, ModelwrightError, ValueError, yaml.YAMLError):
        return None


def begin(folder: Path, words: Sequence[str]) -> None:
    """Note what the sweep in `folder` was asked for. ModelwrightError: the folder holds another sweep, or something else.

    A sweep may go on elsewhere, with more trials, more jobs at a time or another metric: that does not make it another.
    """
    asked = [word for word in words if word not in FLAGS and not word.startswith("run.dir=")]
    if (folder / RECORD).exists():
        earlier = read(folder)
        if _what(earlier["words"]) != _what(asked):
            raise ModelwrightError(f"run.dir: {folder} holds another sweep ({' '.join(earlier['words'])}); name another folder", "run.dir")
        write_json(folder / RECORD, {**earlier, "words": asked})
        return
    if any(path.name != LOCK for path in folder.iterdir()):
        raise ModelwrightError(f"run.dir: {folder} is not empty and is not a sweep; name another folder", "run.dir")
    write_json(folder / RECORD, {"words": asked, "cwd": str(Path.cwd()), "sweeper": "basic", "metric": None, "direction": None})


def _what(words: Sequence[str]) -> list[str]:
    how = ("hydra/launcher=", "hydra.launcher.", "hydra.sweeper.n_trials=", "hydra.sweeper.n_jobs=", "hydra.sweeper.metric=")
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
    if not (isinstance(found, dict) and isinstance(found.get("words"), list) and all(isinstance(word, str) for word in found["words"])):
        raise ModelwrightError(f"{folder / RECORD} is damaged: it holds no words of a command line")
    return found


def words_again(folder: Path) -> list[str]:
    """The words with which the sweep in `folder` goes on. ModelwrightError: one could run code, and the folder may be anybody's."""
    words: list[str] = read(folder)["words"]
    for word in words:
        key, _, value = word.partition("=")
        number = re.fullmatch(r"[-+\d.e]+|null|true|false", value) and re.fullmatch(r"[+~]*hydra\.(sweeper|launcher)(\.[a-z]\w*)+", key)
        named = value in KNOWN if key in {"hydra/launcher", "hydra/sweeper"} else SAID.fullmatch(key)
        if word.startswith("-") or (
            "hydra" in key and ("{" in value or not (number or named))
        ):  # {…} is a mapping: with a _target_, a call
            why = "of what Hydra is told, a file may say only what it sweeps, by which metric, on which launcher, and numbers"
            raise ModelwrightError(f"{folder / RECORD}: {word!r}: {why}; type the command of the sweep again, with run.dir={folder}")
    return words


def forget(folder: Path) -> None:
    """Remove what `begin` wrote when no job of the sweep ever started."""
    if all(path.name in {RECORD, LOCK, "multirun.yaml"} or path.name.startswith("optuna.db") for path in folder.iterdir()):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
