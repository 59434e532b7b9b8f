"""Commands, paths and a run's numbers, as they stand in a terminal."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright_plugins.results import headline, python


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


def tell(manifest: Mapping[str, Any]) -> None:
    """Print the numbers of a run, a line each."""
    for name, value in headline(manifest).items():
        print(f"  {name}: {written(value)}")


def answers(manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how the models that these runs exported answer in transformers; by the name of each where it has one."""
    for name, manifest in manifests.items():
        if lines := python(manifest):
            print(f"\n{f'The model of {name}' if name else 'The exported model'} answers in transformers (pip install transformers):")
            print("\n".join(f"  {line}" for line in lines))


def written(value: Any) -> str:
    """Four digits of what is no whole number."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
