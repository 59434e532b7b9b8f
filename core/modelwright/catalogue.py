"""The catalogue: the YAML that there is to pick from, found without Hydra: recipes, presets, and every option of a kind."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from modelwright.hooks import discover

CONF = "modelwright.conf"
RECIPES = "modelwright.recipes"


def recipes() -> dict[str, Path]:
    """The recipes of ours and of plugins: name -> file."""
    found = _yamls(Path(str(files(RECIPES))))
    for plugin, folder in _conf_folders():
        if plugin != "builtin":
            found.update(_yamls(folder / "recipe"))
    return found


def presets(kind: str) -> dict[str, Path]:
    """The YAML presets of a kind: name -> file."""
    return {name: path for _, folder in _conf_folders() for name, path in _yamls(folder / kind).items()}


def options(kind: str) -> list[str]:
    """Everything that `kind=` takes: components and presets."""
    return sorted({*discover().registry.names(kind), *presets(kind)})


def _conf_folders() -> list[tuple[str, Path]]:
    """(plugin, folder) of every search path that is a folder on this machine."""
    found = [("builtin", Path(str(files(CONF))))]
    for plugin, path in discover().registry.conf:
        scheme, _, rest = path.rpartition("://")
        found.append((plugin, Path(str(files(rest))) if scheme == "pkg" else Path(rest)))
    return found


def _yamls(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder).with_suffix("")): p for p in sorted(folder.rglob("*.yaml"))}
