"""Commands, paths and a run's numbers, as they stand in a terminal."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def program() -> str:
    """How a person would type `modelwright` here: its path, when its environment is not the active one."""
    own = Path(sys.executable).parent / "modelwright"
    return "modelwright" if shutil.which("modelwright") or not own.exists() else str(shown(own))


def typed(*words: str | Path) -> str:
    """A command of ours with these words, as a shell takes it: what has blanks or brackets is quoted."""
    return shlex.join([program(), *map(str, words)])


def tried(recipe: str, overrides: str) -> str:
    """The command that runs a recipe with these of its `next` overrides, which stand as they would be typed."""
    try:
        return typed("run", f"recipe={recipe}", *shlex.split(overrides))
    except ValueError:  # a quote that is not closed
        return f"{program()} run recipe={recipe} {overrides}"


def shown(path: Path) -> Path:
    """The path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def headline(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that the stages of a run returned, as `stage.name`."""
    results = ((stage, record.get("results", {})) for stage, record in manifest["stages"].items())
    return {f"{stage}.{name}": value for stage, found in results for name, value in found.items() if isinstance(value, int | float)}


def returned(manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Each number that one of several runs returned, and what it is in each of them, in their order; None: it is not there."""
    numbers = [headline(manifest) for manifest in manifests.values()]
    return [(key, [found.get(key) for found in numbers]) for key in dict.fromkeys(key for found in numbers for key in found)]


def tell(manifest: Mapping[str, Any]) -> None:
    """Print the numbers of a run, a line each."""
    for name, value in headline(manifest).items():
        print(f"  {name}: {written(value)}")


def written(value: Any) -> str:
    """Four digits of what is no whole number."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
