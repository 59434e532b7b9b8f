"""`modelwright run`: Hydra reads the command line, once for a run, or once for each job of a sweep."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright import launch
from modelwright.cli import command, complain
from modelwright.component import Command
from modelwright.errors import ModelwrightError, disk_error, nearest
from modelwright.hooks import CONF
from modelwright.run import MANIFEST, locked, read_manifest, start
from modelwright_plugins.catalogue import recipes
from modelwright_plugins.command.farewell import after_failing, farewell
from modelwright_plugins.explain import blaming, explained
from modelwright_plugins.pipeline import phases
from modelwright_plugins.preemption import notice
from modelwright_plugins.stage.wanted import refuse
from modelwright_plugins.sweep import record
from modelwright_plugins.terminal import shown, typed

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXTRAS = {"optuna": "optuna", "joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}


@dataclass(frozen=True, kw_only=True)
class Run(Command):
    """Run a recipe: modelwright run recipe=NAME [key=value …] [-m].

      modelwright run recipe=pretrain/quickstart
      modelwright run recipe=pretrain/quickstart optimizer=adamw train.steps=200      another component, another setting
      modelwright run recipe=pretrain/quickstart parallel.tensor=2                    another layout; its ranks are started
      modelwright run recipe=pretrain/quickstart -m optimizer.lr=1e-3,3e-3            a sweep: one run for each value
      modelwright run … -m hydra/launcher=joblib                                      several jobs at a time (submitit_slurm, ray)
      modelwright run recipe=./mine.yaml run.dir=out                                  a recipe and a folder of your own
      torchrun --nproc-per-node 4 -m modelwright run recipe=…                         joins the ranks that torchrun started
      modelwright run pipeline=NAME sft.align.steps=10                                several runs in turn; a setting of phase sft

    What there is to pick: modelwright list. A thing's settings: modelwright show kind/name. Hydra's own options: --hydra-help.
    """

    def run(self, arguments: list[str]) -> int:
        notice()
        only_overrides([word for word in arguments if not word.startswith("-")])
        if pipeline := phases.asked(arguments):
            from modelwright_plugins.command import pipelines

            words, folder = _with_folder(phases.spelled(arguments))
            return pipelines.run(pipeline, folder, words)
        sweep = record.is_sweep(arguments)
        if sweep and launch.world():
            raise ModelwrightError("-m under torchrun or Slurm would sweep on every rank; let Modelwright start the ranks of each job")
        if sweep:
            return run_sweep(*_with_folder(arguments))
        return int(launch.lead(lambda: _with_hydra(_with_folder(arguments)[0], one_job)) or 0)


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


def run_sweep(words: list[str], folder: Path) -> int:
    """Begin a sweep in `folder`, or go on with the one that these words began there; then print its table."""
    from modelwright_plugins.sweep import watch
    from modelwright_plugins.sweep.job import REFUSED, job
    from modelwright_plugins.sweep.values import check, jobs_asked

    lost = False
    if not (folder / record.RECORD).exists():
        check(words)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / record.LOCK):
        try:
            record.begin(folder, words)
            (folder / REFUSED).unlink(missing_ok=True)
            picked = {key: value for key, _, value in (word.partition("=") for word in words)}
            elsewhere = picked.get("hydra/launcher", "basic") != "basic"
            with watch.watched(folder, jobs_asked(words)) if elsewhere else contextlib.nullcontext():
                _with_hydra(words if record.FLAGS & set(words) else ["-m", *words], job)
        except KeyboardInterrupt:
            print(f"\n{typed('resume', shown(folder))}   goes on with the jobs that are not done", flush=True)
            raise
        except Exception as e:
            if isinstance(e, ModelwrightError) or disk_error(e) or not list(folder.glob(f"*/{MANIFEST}")):
                raise
            complain(
                [f"the launcher lost a job: {type(e).__name__}: {e}", f"{typed('resume', shown(folder))} goes on with what is not done"]
            )
            lost = True
        finally:
            record.forget(folder)
        command(["compare", str(folder)])
        refused = (folder / REFUSED).read_text().splitlines() if (folder / REFUSED).exists() else []
        complain(refused)
        failed = any(read_manifest(job.parent)["status"] == "failed" for job in folder.glob(f"*/{MANIFEST}"))
        return 1 if lost or refused or failed else 0


def _with_folder(words: list[str]) -> tuple[list[str], Path]:
    """The words with a folder for the run in any case, and that folder."""
    if given := next((word.partition("=")[2].strip("'\"") for word in words if word.startswith("run.dir=")), None):
        return words, Path(given)
    recipe = next((w.partition("=")[2] for w in words if w.startswith("recipe=")), "run").split(",")[0]
    name = Path(recipe).stem if recipe.endswith(".yaml") else recipe
    now = f"runs/{name}/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    folder = next(f for f in (now, *(f"{now}-{n}" for n in range(2, 1000))) if not Path(f).exists())
    return [*words, f"run.dir='{folder}'"], Path(folder)


def _overrides(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def _with_hydra(words: list[str], task: Callable[[DictConfig], Any]) -> int:
    import hydra
    import yaml
    from hydra.core.plugins import Plugins

    from hydra_plugins.modelwright_optuna import OptunaSweeper
    from modelwright.compose import install

    install()
    Plugins.instance().register(OptunaSweeper)  # Hydra does not find it by itself in an editable installation
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, and we say them in one line
    sys.argv = ["modelwright run", *sorted(words, key=lambda word: word not in record.FLAGS)]  # argparse wants them first
    try:
        hydra.main(version_base="1.3", config_path=f"pkg://{CONF}", config_name="config")(task)()
    except (hydra.errors.HydraException, ValueError, yaml.YAMLError) as e:
        raise _of_sweeping(str(e), words) or explained(e, _overrides(words)) from e
    if _failure is not None:
        raise _failure
    return 0


def _of_sweeping(error: str, words: list[str]) -> ModelwrightError | None:
    """Hydra's error about its launcher or sweeper, in one line; None when it is about something else."""
    if missing := re.search(r"Could not (?:find|load) 'hydra/(launcher|sweeper)/([^']+)'", error):
        kind, name = missing.groups()
        why = f"; it comes with pip install 'modelwright[{EXTRAS[name]}]'" if name in EXTRAS else nearest(name, [*EXTRAS, "basic"])
        return ModelwrightError(f"hydra/{kind}={name}: there is no such {kind} here{why}")
    if wrong := re.search(r"Could not override 'hydra\.(launcher|sweeper)\.([^']+)'", error):
        node = record.hydra_node([word for word in words if word.startswith("hydra/")])
        known = [str(key) for key in node[wrong[1]] if str(key)[0] != "_"] if node is not None else []
        return ModelwrightError(f"hydra.{wrong[1]}.{wrong[2]}: there is no such setting{nearest(wrong[2], known)}")
    if "does not support sweep type" in error:
        return ModelwrightError("interval(…) has no end of values; hydra/sweeper=optuna draws from it, choice(…) and range(…) name some")
    if "requires --multirun" in error:
        return ModelwrightError("to sweep over several values add -m")
    return None


def one_job(config: DictConfig) -> None:
    """What Hydra calls for a run that is no job of a sweep."""
    global _failure
    from hydra.core.hydra_config import HydraConfig

    from modelwright.compose import freeze

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = [o for o in hydra.overrides.task if not o.startswith("run.dir=")]
    try:
        with blaming(hydra, config):
            frozen = freeze(config, hydra)
        refuse(frozen)
        farewell(start(frozen, folder, overrides), folder)
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt) and (folder / MANIFEST).exists():
            print(f"\n{typed('resume', shown(folder))}   goes on from the last checkpoint", flush=True)
        if not isinstance(e, Exception):
            raise
        _failure = e
        if (folder / MANIFEST).exists() and getattr(e, "key", None) != "run.dir":
            print("\n".join(after_failing(e, folder, overrides)), flush=True)
        for empty in (folder, *list(folder.parents)[:2]):  # nothing was run: leave nothing
            with contextlib.suppress(OSError):
                empty.rmdir()
