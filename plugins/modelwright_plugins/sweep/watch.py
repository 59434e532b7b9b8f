"""What a person sees of a sweep whose jobs run elsewhere: a bar, and a line for each job that ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.run import MANIFEST, read_manifest
from modelwright_plugins.progress import progress
from modelwright_plugins.results import headline
from modelwright_plugins.sweep.job import LOGS


@contextlib.contextmanager
def watched(folder: Path, total: int | None, *, every: float = 1.0) -> Iterator[None]:
    """While inside, tell of each job in `folder` when its manifest says that it ended; looks `every` so many seconds."""
    before, stop = {job: _written(job) for job in _jobs(folder)}, threading.Event()

    def look(bar: Any) -> None:
        for job in _jobs(folder):
            if before.get(job) != _written(job) and (manifest := _ended(job)):
                before[job] = _written(job)
                numbers = "  ".join(f"{name} {value:.4g}" for name, value in headline(manifest).items())
                bar.write(f"job {job.name} {manifest['status']}: {manifest.get('error') or numbers}")
                bar.update(1)

    def watch() -> None:
        while not (folder / LOGS).exists():  # no job has begun; what is wrong with the words is still to be said
            if stop.wait(every / 10):
                return
        with progress("sweep", total, "job") as bar:
            bar.update(sum(_ended(job).get("status") in {"finished", "pruned"} for job in before))
            while not stop.wait(every):
                look(bar)
            look(bar)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _jobs(folder: Path) -> list[Path]:
    return sorted((path.parent for path in folder.glob(f"*/{MANIFEST}")), key=lambda path: (len(path.name), path.name))


def _written(job: Path) -> int:
    return (job / MANIFEST).stat().st_mtime_ns


def _ended(job: Path) -> dict[str, Any]:
    with contextlib.suppress(ModelwrightError):
        if (manifest := read_manifest(job))["status"] != "running":
            return manifest
    return {}
