"""From the paths and patterns that a person writes to a sorted list of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelwright.errors import ModelwrightError, nearest


def find(patterns: Sequence[str], endings: tuple[str, ...], key: str) -> list[Path]:
    """The files that `patterns` name, each once, sorted within each pattern: a file as it is, a folder's files with one of
    `endings`, and what a glob (`**` too) matches. ModelwrightError: nothing is there; `key` is named."""
    if not patterns:
        raise ModelwrightError(f"{key}: no file given, for example {key}=[data/*{endings[0]}]", key)
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            here = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(endings))
            if not here:
                raise ModelwrightError(f"{key}: folder {pattern} has no file that ends in {', '.join(endings)}", key)
        elif path.exists():
            here = [path]
        else:
            here = sorted(p for p in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if p.is_file())
            if not here:
                hint = nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
                raise ModelwrightError(f"{key}: nothing matches {pattern}{hint}", key)
        found.update(dict.fromkeys(here))
    return list(found)
