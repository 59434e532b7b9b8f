"""What is said when a run has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.terminal import answers, shown, tell, tried, typed

PAGES = ("report.html", "quantization.html", "metrics.jsonl", "curation.html")  # a run's own, the one that says most first


def farewell(manifest: Mapping[str, Any], folder: Path) -> None:
    """Print the numbers of a run, where it is and what to try next."""
    tell(manifest)
    answers({"": manifest})
    page = next((p for name in PAGES if (p := folder / name).exists()), None)
    print(f"\nThe run is in {shown(folder)}" + (f"; open {shown(page)}" if page else ""))
    if manifest["next"]:
        print("Try next:")
    for overrides in manifest["next"]:
        print(f"  {tried(manifest['recipe'], overrides)}")


def after_failing(error: BaseException, folder: Path, words: Sequence[str]) -> list[str]:
    """How to go on with the run or the pipeline in `folder` that failed and was begun with `words`. Its settings are frozen: what was
    wrong with them, or with a file that a stage has read, is mended in another run."""
    resume = typed("resume", shown(folder))
    if not isinstance(error, ModelwrightError):
        return [f"{resume}   goes on from here, when what stopped it is mended"]
    return [
        f"{typed('run', *words)}   with another setting, or a mended file, begins again and takes over what stays the same",
        f"{resume}   goes on with the same settings, where they are not to blame",
    ]
