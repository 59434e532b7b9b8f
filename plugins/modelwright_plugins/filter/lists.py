"""Lists that people keep in files: a word, a phrase, a domain a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def entries(paths: Sequence[Path]) -> list[str]:
    """The lines of all files, stripped, each once, in order; blank ones and those that begin with `#` are left out."""
    lines = (line.strip() for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def unreadable(named: Mapping[str, Sequence[Path]]) -> list[str]:
    """Parameter -> paths: a line for each that is no list, beginning with the parameter. What is not there is left to others to tell."""
    found = []
    for parameter, paths in named.items():
        for path in paths:
            if path.is_dir():
                found.append(f"{parameter}: {path} is a folder; it is a file with an entry a line")
            elif path.exists():
                try:
                    if not entries([path]):
                        found.append(f"{parameter}: {path} has no entry")
                except UnicodeDecodeError as error:
                    found.append(f"{parameter}: {path} is not UTF-8 at byte {error.start}")
    return found
