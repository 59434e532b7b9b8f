"""How much disk a run takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelwright.api import Command, ModelwrightError


@dataclass(frozen=True, kw_only=True)
class Usage(Command):
    """Print how many bytes each part of a folder takes, the largest first: modelwright example FOLDER."""

    def run(self, arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise ModelwrightError("which folder? modelwright example FOLDER, as in: modelwright example runs")
        folder = Path(arguments[0])
        if not folder.is_dir():
            raise ModelwrightError(f"{folder} is no folder")
        for size, name in sizes(folder):
            print(f"{size:>15,}  {name}")
        return 0


def sizes(folder: Path) -> list[tuple[int, str]]:
    """(bytes, name) of each file and folder in it, the largest first; a link counts nothing."""
    found = []
    for part in folder.iterdir():
        files = [file for file in (part.rglob("*") if part.is_dir() else [part]) if file.is_file() and not file.is_symlink()]
        found.append((sum(file.stat().st_size for file in files), part.name))
    return sorted(found, key=lambda item: (-item[0], item[1]))
