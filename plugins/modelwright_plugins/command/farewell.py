"""What is said when a run has ended."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError

PAGES = ("report.html", "quantization.html", "metrics.jsonl", "curation.html")  # a run's own, the one that says most first


def headline(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that the stages of a run returned, as `stage.name`."""
    results = ((stage, record.get("results", {})) for stage, record in manifest["stages"].items())
    return {f"{stage}.{name}": value for stage, found in results for name, value in found.items() if isinstance(value, int | float)}


def farewell(manifest: Mapping[str, Any], folder: Path | None) -> None:
    """Print the numbers of a run and, unless it is a job of a sweep (None), where it is and what to try next."""
    for name, value in headline(manifest).items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    if folder is None:
        return
    page = next((p for name in PAGES if (p := folder / name).exists()), None)
    print(f"\nThe run is in {shown(folder)}" + (f"; open {shown(page)}" if page else ""))
    if manifest["next"]:
        print("Try next:")
    for overrides in manifest["next"]:
        print(f"  {program()} run recipe={manifest['recipe']} {overrides}")


def after_failing(error: BaseException, folder: Path, words: Sequence[str]) -> list[str]:
    """How to go on with the run or the pipeline in `folder` that failed and was begun with `words`. Its settings are frozen: what was
    wrong with them, or with a file that a stage has read, is mended in another run."""
    resume = f"{program()} resume {shown(folder)}"
    if not isinstance(error, ModelwrightError):
        return [f"{resume}   goes on from here, when what stopped it is mended"]
    return [
        f"{program()} run {shlex.join(words)}   with another setting, or a mended file, begins again and takes over what stays the same",
        f"{resume}   goes on with the same settings, where they are not to blame",
    ]


def program() -> str:
    """How a person would type `modelwright` here: its path, when its environment is not the active one."""
    own = Path(sys.executable).parent / "modelwright"
    return "modelwright" if shutil.which("modelwright") or not own.exists() else str(shown(own))


def shown(path: Path) -> Path:
    """The path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
