"""`modelwright compare`: runs side by side, as a table."""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.run import MANIFEST, read_manifest
from modelwright_plugins.command.farewell import headline


@dataclass(frozen=True, kw_only=True)
class Compare(Command):
    """Print a table of runs, what each changed and its numbers: modelwright compare RUN… | SWEEP."""

    def run(self, arguments: list[str]) -> int:
        given = [Path(a) for a in arguments]
        runs = [found for path in given for found in ([path] if (path / MANIFEST).exists() else _jobs(path))]
        if not runs:
            raise ModelwrightError("compare which runs? modelwright compare RUN… or the folder of a sweep")
        return table(runs)


def _jobs(sweep: Path) -> list[Path]:
    found = sorted((p.parent for p in sweep.glob(f"*/{MANIFEST}")), key=lambda p: (len(p.name), p.name))
    if not found:
        raise ModelwrightError(f"{sweep} is neither a run nor a sweep: there is no {MANIFEST} in it or one folder down")
    return found


def _status(run: Path, manifest: dict[str, Any]) -> str:
    """The manifest's, but a run that nobody works on is not running: whoever did was killed."""
    if manifest["status"] == "running":
        with (run / ".lock").open("w") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "killed"
    return str(manifest["status"])


def table(runs: list[Path]) -> int:
    """One line a run: the overrides that not all share, how it ended, its numbers. Returns 1 when any run failed."""
    manifests = [read_manifest(run) for run in runs]
    changed = [[o for o in m["overrides"] if not all(o in other["overrides"] for other in manifests)] for m in manifests]
    numbers = list(dict.fromkeys(name for m in manifests for name in headline(m)))
    rows = [["run", "overrides", "status", *numbers]]
    for run, manifest, overrides in zip(runs, manifests, changed, strict=True):
        found = headline(manifest)
        values = [f"{found[n]:.4g}" if n in found else "-" for n in numbers]
        rows.append([run.name, " ".join(overrides) or "-", _status(run, manifest), *values])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    failed = [(run, m) for run, m in zip(runs, manifests, strict=True) if m["status"] == "failed"]
    for run, manifest in failed:
        print(f"{run.name} failed: {manifest['error']}")
    print(f"\nThe runs are in {runs[0].parent}")
    return 1 if failed else 0
