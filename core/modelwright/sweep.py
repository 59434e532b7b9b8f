"""Sweep: what a multirun leaves behind, as a table. Each job is a run of its own in the sweep's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.manifest import write_json


def headline(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that the stages of a run returned, under `stage.name`."""
    return {f"{stage}.{name}": value for stage, record in manifest["stages"].items() for name, value in record.get("results", {}).items()}


def note_failure(folder: Path, overrides: Sequence[str], error: BaseException) -> None:
    """Keep why a job failed, also when it failed before it had a manifest."""
    print(f"  failed: {error}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "manifest.json").exists():
        write_json(folder / "manifest.json", {"status": "failed", "error": str(error), "overrides": list(overrides), "stages": {}})


def table(folder: Path) -> int:
    """Print one line a job: what it changed, how it ended, its numbers. Returns 1 when any job failed."""
    jobs = sorted((p for p in folder.iterdir() if (p / "manifest.json").exists()), key=lambda p: (len(p.name), p.name))
    manifests = [json.loads((p / "manifest.json").read_text(encoding="utf-8")) for p in jobs]
    changed = [[o for o in m["overrides"] if not all(o in other["overrides"] for other in manifests)] for m in manifests]
    numbers = sorted({name for m in manifests for name in headline(m)})
    rows = [["job", "overrides", "status", *numbers]]
    for path, manifest, overrides in zip(jobs, manifests, changed, strict=True):
        found = headline(manifest)
        values = [f"{found[n]:.4g}" if n in found else "-" for n in numbers]
        rows.append([path.name, " ".join(o for o in overrides if not o.startswith("run.dir=")), manifest["status"], *values])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    failed = [(p, m) for p, m in zip(jobs, manifests, strict=True) if m["status"] != "finished"]
    for path, manifest in failed:
        print(f"job {path.name} failed: {manifest['error']}")
    print(f"\nThe sweep is in {folder}")
    return 1 if failed else 0
