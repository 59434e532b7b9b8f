"""The catalogue of what there is to pick from: recipes, presets and every option of a kind, found without Hydra; earlier runs."""

import os
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from modelwright.hooks import CONF, RECIPES, discover
from modelwright.run import MANIFEST


def recipes() -> dict[str, Path]:
    """The recipes of ours and of plugins: name -> file."""
    folders = [Path(str(files(RECIPES))), *(folder / "recipe" for folder in _conf_folders())]
    return {name: path for folder in folders for name, path in _yamls(folder).items()}


def nearest_run(folder: Path) -> str:
    """`; did you mean 'runs/…'?`, or which runs there are: those in the folder, as a pipeline or a sweep has some, or the latest ones."""
    if inside := sorted(str(file.parent) for file in folder.glob(f"*/{MANIFEST}")):
        return f"; there are runs in it: {', '.join(inside[-6:])}"
    known = [str(file.parent) for file in sorted(Path("runs").rglob(MANIFEST), key=lambda file: file.stat().st_mtime)]
    wanted = os.path.relpath(folder)
    if close := get_close_matches(wanted, known, 1, 0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; the latest runs here: {', '.join(known[-3:]) or 'none'}"


def presets(kind: str) -> dict[str, Path]:
    """The YAML presets of a kind: name -> file."""
    return {name: path for folder in _conf_folders() for name, path in _yamls(folder / kind).items()}


def _conf_folders() -> list[Path]:
    """Every search path that is a folder on this machine."""
    paths = [path.rpartition("://") for _, path in discover().registry.conf]
    return [Path(str(files(CONF))), *(Path(str(files(rest)) if scheme == "pkg" else rest) for scheme, _, rest in paths)]


def _yamls(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder).with_suffix("")): p for p in sorted(folder.rglob("*.yaml"))}
