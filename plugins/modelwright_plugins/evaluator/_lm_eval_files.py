"""The files that the harness' tasks are read from: their YAML, and their data where it lies on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import yaml

NAMED = ("data_files", "data_dir", "dataset_path", "include")  # keys of tasks, below which files and folders are named


class _Tagged(yaml.SafeLoader):
    """`!function` and whatever else has a tag is nothing here: no code is read."""


_Tagged.add_multi_constructor("!", lambda *_: None)


def files(folder: Path) -> list[Path]:
    """All files in `folder`, and those that its YAML files name elsewhere, in order. A file of data is named as the harness finds it, from
    the working directory; `include` from the YAML file's folder."""
    inside = {file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    found, known = set(inside), set[Path]()
    while fresh := {file for file in found - known if "yaml" in file.name or file.suffix == ".yml"}:
        known |= fresh
        for file in fresh:
            try:
                told = yaml.load(file.read_text(encoding="utf-8"), _Tagged)  # a SafeLoader
            except (OSError, UnicodeError, yaml.YAMLError):
                continue  # the harness says what is wrong with it
            for name in _named(told, wanted=False):
                for where in (Path(), file.parent):
                    for path in map(Path, glob(str(where / Path(name).expanduser()), recursive=True)):  # noqa: PTH207 - it may be absolute
                        found |= {path} if path.is_file() else {each for each in path.rglob("*") if each.is_file()}
    outside = {path.resolve() for path in found} - {path.resolve() for path in inside}
    return [*sorted(inside), *sorted(outside)]


def _named(told: Any, *, wanted: bool) -> Iterator[str]:
    """Each text below one of the keys, and members of lists and of mappings of splits there."""
    if isinstance(told, str) and wanted and told.strip() and "://" not in told:
        yield told
    elif isinstance(told, dict):
        for key, value in told.items():
            yield from _named(value, wanted=wanted or key in NAMED)
    elif isinstance(told, list):
        for value in told:
            yield from _named(value, wanted=wanted)
