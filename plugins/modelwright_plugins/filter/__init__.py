"""Filters: which documents stay, and why the others went."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.component import Component
from modelwright.errors import nearest

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


class Filter(Component, ABC):
    """Keeps a document or drops it for a reason that is recorded; it may edit the text it keeps."""

    @abstractmethod
    def build(self) -> BaseFilter:
        """A datatrove filter: picklable, deterministic, its drop reasons short and few (they are counted by name)."""

    def reads(self) -> Mapping[str, Sequence[Path]]:
        """Parameter -> the files and folders that it names: they must be there, and a changed one is a changed filter."""
        return {}

    def problems(self) -> list[str]:
        """What would stop it, one line each that begins with the parameter: files that are not there. Called before anything runs;
        a bad value is a ValueError of `__post_init__`."""
        found = []
        for parameter, paths in self.reads().items():
            for path in paths:
                if not path.exists():
                    hint = nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
                    found.append(f"{parameter}: nothing is at {path}{hint}")
        return found

    def _shares(self, *parameters: str) -> None:
        """For `__post_init__`. ValueError: one of these is no share."""
        for name in parameters:
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {value}; it is a share from 0 to 1")

    def fingerprint(self) -> str:
        """A hash of the names, sizes and times of all files that `reads` names, those in folders too."""
        named = [path for paths in self.reads().values() for path in paths]
        files = [file for path in named for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]
        told = [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
        return hashlib.sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest() if told else ""
