"""One job of a sweep. Whatever launcher started it, it never raises: a failure is written down, and the sweep goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright import launch
from modelwright.errors import ModelwrightError, Pruned, RankFailure, disk_error
from modelwright.manifest import write_json
from modelwright.run import MANIFEST, read_config, read_manifest, start
from modelwright_plugins.explain import blaming
from modelwright_plugins.results import headline
from modelwright_plugins.stage.wanted import refuse
from modelwright_plugins.terminal import tell

if TYPE_CHECKING:
    from omegaconf import DictConfig

REFUSED = "refused.txt"  # of a sweep: jobs whose folders hold what this start can't go on with
LOGS = "logs"  # of a sweep: what each job says that runs beside others, as NUMBER.log


def job(config: DictConfig) -> dict[str, Any]:
    """What Hydra calls for each job: {"status", "error", "results": {"stage.number": value}}."""
    from hydra.core.hydra_config import HydraConfig

    from modelwright.compose import freeze

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = [o for o in hydra.overrides.task if not o.startswith("run.dir=")]
    with contextlib.nullcontext() if hydra.runtime.choices["hydra/launcher"] == "basic" else _aside(folder):
        print(f"\njob {hydra.job.num}: {' '.join(overrides)}", flush=True)
        try:
            with blaming(hydra, config):
                frozen = freeze(config, hydra)
            if manifest := ended(folder, frozen):
                print(f"  {manifest['status']} already", flush=True)
            else:
                refuse(frozen)
                manifest = launch.lead(lambda: start(frozen, folder, overrides))
                tell(manifest or {"stages": {}})
        except (Exception, SystemExit) as e:  # a plugin that leaves the process ends its own job only
            if not isinstance(e, (ModelwrightError, Pruned, RankFailure)):
                traceback.print_exc()
            manifest = note_failure(folder, overrides, disk_error(e) or e)
    if not manifest:
        return {}  # a rank of a job that Slurm started on several; the first speaks for all
    return answer(manifest)


def answer(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a sweeper is told of a job."""
    return {"status": manifest["status"], "error": manifest.get("error"), "results": headline(manifest)}


def ended(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a job that finished, or was pruned, with this config, when the sweep was started before; else {}."""
    with contextlib.suppress(ModelwrightError):
        manifest = read_manifest(folder)
        if manifest["status"] in {"finished", "pruned"} and read_config(folder) | {"run": config["run"]} == config:
            return manifest
    return {}


def note_failure(folder: Path, overrides: list[str], error: BaseException) -> dict[str, Any]:
    """Say why a job failed, and keep it, also when that was before it had a manifest. Gives what a manifest would say."""
    failed: dict[str, Any] = {
        "status": "pruned" if isinstance(error, Pruned) else "failed",
        "error": str(error),
        "overrides": overrides,
        "stages": {},
    }
    print(f"  {failed['status']}: {error}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MANIFEST).exists():
        write_json(folder / MANIFEST, failed)
    elif read_manifest(folder)["error"] != str(error):  # the folder holds another attempt, which stays as it is
        with (folder.parent / REFUSED).open("a") as refused:
            refused.write(f"job {folder.name}: {error}\n")
    return failed


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[None]:
    """Send what this process and those it starts print into the job's own log: several jobs would write over one another."""
    file = folder.parent / LOGS / f"{folder.name}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {number: os.dup(number) for number in (1, 2)}
    with file.open("a") as log:
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number in kept:
                os.dup2(log.fileno(), number)
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            log.flush()
            for number, before in kept.items():
                os.dup2(before, number)
                os.close(before)
