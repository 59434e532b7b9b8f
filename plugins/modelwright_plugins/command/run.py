"""`modelwright run`: Hydra reads the command line, once for a run, or once for each job of a sweep."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import launch
from modelwright.catalogue import CONF, recipes
from modelwright.cli import command
from modelwright.component import Command
from modelwright.errors import ModelwrightError, disk_error
from modelwright.manifest import write_json
from modelwright.run import MANIFEST, start
from modelwright_plugins.command.farewell import farewell, program, shown

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True, kw_only=True)
class Run(Command):
    """Run a recipe: modelwright run recipe=NAME [key=value …] [-m].

      modelwright run recipe=pretrain/quickstart
      modelwright run recipe=pretrain/quickstart optimizer=adamw train.steps=200      another component, another setting
      modelwright run recipe=pretrain/quickstart parallel.tensor=2                    another layout; its ranks are started
      modelwright run recipe=pretrain/quickstart -m optimizer.lr=1e-3,3e-3            a sweep: one run for each value
      modelwright run recipe=./mine.yaml run.dir=out                                  a recipe and a folder of your own
      torchrun --nproc-per-node 4 -m modelwright run recipe=…                         joins the ranks that torchrun started

    What there is to pick: modelwright list. A thing's settings: modelwright show kind/name. Hydra's own options: --hydra-help.
    """

    def run(self, arguments: list[str]) -> int:
        sweep = bool({"-m", "--multirun"} & set(arguments))
        only_overrides([word for word in arguments if not word.startswith("-")])
        if sweep and launch.world():
            raise ModelwrightError("-m under torchrun or Slurm would sweep on every rank; let Modelwright start the ranks of each job")
        return int(launch.lead(lambda: _with_hydra(arguments, sweep)) or 0)


def only_overrides(words: list[str]) -> list[str]:
    """The words, when each is `key=value` or `~key`; a ModelwrightError about the first that is not."""
    for word in words:
        if "=" not in word and not word.startswith("~"):
            if "=" in words:
                raise ModelwrightError(f"{word!r} stands alone; write key=value without spaces round the =")
            known = word in recipes() or word.endswith(".yaml")
            raise ModelwrightError(f"{word!r} is not of the form key=value" + (f"; did you mean recipe={word}?" if known else ""))
    return words


_failure: Exception | None = None  # of a single run: Hydra would print its own lines round an exception


def _with_hydra(given: list[str], sweep: bool) -> int:
    import hydra

    from modelwright.compose import explained, install

    install()
    if not any(word.startswith("run.dir=") for word in given):
        recipe = next((w.partition("=")[2] for w in given if w.startswith("recipe=")), "run").split(",")[0]
        name = Path(recipe).stem if recipe.endswith(".yaml") else recipe
        now = f"runs/{name}/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        folder = next(f for f in (now, *(f"{now}-{n}" for n in range(2, 1000))) if not Path(f).exists())
        given = [*given, f"run.dir='{folder}'"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, and we say them in one line
    sys.argv = ["modelwright run", *sorted(given, key=lambda word: word not in {"-m", "--multirun"})]  # argparse wants them first
    try:
        hydra.main(version_base="1.3", config_path=f"pkg://{CONF}", config_name="config")(one_job)()
    except (hydra.errors.HydraException, ValueError) as e:
        raise explained(e, [word for word in given if not word.startswith("-")]) from e
    if _failure is not None:
        raise _failure
    if sweep:
        return command(["compare", next(word for word in given if word.startswith("run.dir=")).partition("=")[2].strip("'\"")])
    return 0


def one_job(config: DictConfig) -> None:
    """What Hydra calls for a run, or for each job of a sweep (there, a failure is written down and the sweep goes on)."""
    global _failure
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from modelwright.compose import freeze

    hydra = HydraConfig.get()
    folder, sweep = Path(hydra.runtime.output_dir), hydra.mode == RunMode.MULTIRUN
    overrides = [o for o in hydra.overrides.task if not o.startswith("run.dir=")]
    if sweep:
        print(f"\njob {hydra.job.num}: {' '.join(overrides)}", flush=True)
    try:
        farewell(start(freeze(config, hydra), folder, overrides), None if sweep else folder)
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt) and (folder / MANIFEST).exists():
            print(f"\n{program()} resume {shown(folder)}   goes on from the last checkpoint", flush=True)
        if not isinstance(e, Exception):
            raise
        if sweep:
            _note_failure(folder, overrides, disk_error(e) or e)
            return
        _failure = e
        if (folder / MANIFEST).exists():
            print(f"{program()} resume {shown(folder)}   goes on from here, when what stopped it is mended", flush=True)
        for empty in (folder, *list(folder.parents)[:2]):  # nothing was run: leave nothing
            with contextlib.suppress(OSError):
                empty.rmdir()


def _note_failure(folder: Path, overrides: list[str], error: BaseException) -> None:
    """Keep why a job of a sweep failed, also when that was before it had a manifest."""
    print(f"  failed: {error}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MANIFEST).exists():
        write_json(folder / MANIFEST, {"status": "failed", "error": str(error), "overrides": overrides, "stages": {}})
