"""The catalogue: the YAML that there is to pick from, found without Hydra: recipes, presets, and every option of a kind."""

from importlib.resources import files
from pathlib import Path

from modelwright.hooks import CONF, RECIPES, discover


def recipes() -> dict[str, Path]:
    """The recipes of ours and of plugins: name -> file."""
    folders = [Path(str(files(RECIPES))), *(folder / "recipe" for folder in _conf_folders())]
    return {name: path for folder in folders for name, path in _yamls(folder).items()}


def presets(kind: str) -> dict[str, Path]:
    """The YAML presets of a kind: name -> file."""
    return {name: path for folder in _conf_folders() for name, path in _yamls(folder / kind).items()}


def _conf_folders() -> list[Path]:
    """Every search path that is a folder on this machine."""
    paths = [path.rpartition("://") for _, path in discover().registry.conf]
    return [Path(str(files(CONF))), *(Path(str(files(rest)) if scheme == "pkg" else rest) for scheme, _, rest in paths)]


def _yamls(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder).with_suffix("")): p for p in sorted(folder.rglob("*.yaml"))}
