"""What a person sees of a sweep whose jobs run elsewhere: a bar, and a line for each job that ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.run import MANIFEST, read_manifest
from modelwright_plugins.command.farewell import headline
from modelwright_plugins.progress import progress
from modelwright_plugins.sweep.job import LOGS
from modelwright_plugins.sweep.record import hydra_node


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


def jobs_asked(overrides: Sequence[str]) -> int | None:
    """How many jobs a sweep with these overrides, and what its recipe sweeps, makes; None when that can't be said beforehand."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if (node := hydra_node(overrides)) is None:
        return None
    sweeper = node.sweeper
    try:
        if "n_trials" in sweeper:
            return int(sweeper.n_trials)
        params, count = [f"{key}={value}" for key, value in (sweeper.params or {}).items()], 1
        for override in {o.key_or_group: o for o in OverridesParser.create().parse_overrides([*params, *overrides])}.values():
            if override.is_sweep_override():
                count *= sum(1 for _ in override.sweep_string_iterator())
    except (HydraException, ValueError):  # glob(…) needs the configs; what is wrong is said elsewhere
        return None
    return count


def _jobs(folder: Path) -> list[Path]:
    return sorted((path.parent for path in folder.glob(f"*/{MANIFEST}")), key=lambda path: (len(path.name), path.name))


def _written(job: Path) -> int:
    return (job / MANIFEST).stat().st_mtime_ns


def _ended(job: Path) -> dict[str, Any]:
    with contextlib.suppress(ModelwrightError):
        if (manifest := read_manifest(job))["status"] != "running":
            return manifest
    return {}
