"""The command line: a thin door. `run` and `resume` are here; every other command is a registered component."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright import __version__
from modelwright.errors import ModelwrightError, disk_error, nearest
from modelwright.hooks import discover

if TYPE_CHECKING:
    from omegaconf import DictConfig

RUN_HELP = """usage: modelwright run recipe=NAME [key=value …] [-m]

  modelwright run recipe=pretrain/quickstart
  modelwright run recipe=pretrain/quickstart optimizer=adamw train.steps=200      another component, another setting
  modelwright run recipe=pretrain/quickstart parallel.tensor=2                    another layout; the ranks are started for you
  modelwright run recipe=pretrain/quickstart -m optimizer.lr=1e-3,3e-3            a sweep: one run for each value
  modelwright run recipe=./mine.yaml run.dir=out                                  a recipe of your own, a folder of your own
  torchrun --nproc-per-node 4 -m modelwright run recipe=…                         joins the ranks that torchrun started

What there is to pick: modelwright list. A thing's settings: modelwright show kind/name. Hydra's own options: --hydra-help."""
OURS = {
    "run": "Run a recipe: modelwright run recipe=pretrain/quickstart [key=value …]; -m sweeps over lists of values.",
    "resume": "Go on with a run that was stopped: modelwright resume runs/…",
}


def main() -> None:
    """The entry point. Exits with 0; with 2 on bad input, in one line; with 1 when a run fails."""
    given = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        sys.exit(_command(given))
    except KeyboardInterrupt:
        complain(["stopped; modelwright resume RUN goes on where it was"])
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `modelwright list | head` is no error
    except Exception as e:
        if "--debug" in sys.argv:
            traceback.print_exc()
        ours = e if isinstance(e, ModelwrightError) else disk_error(e)
        failed = e if hasattr(e, "traceback") else f"{type(e).__name__}: {e} (--debug shows where)"
        complain(str(ours or failed).splitlines())
        sys.exit(2 if ours else 1)


def complain(lines: Iterable[str]) -> None:
    """Print errors, a line each, on standard error."""
    for line in lines:
        print(f"modelwright: {line}", file=sys.stderr)


def only_overrides(words: list[str]) -> list[str]:
    """The words, when each is `key=value` or `~key`; a ModelwrightError about the first that is not."""
    from modelwright.catalogue import recipes

    for word in words:
        if "=" not in word and not word.startswith("~"):
            known = word in recipes() or word.endswith(".yaml")
            raise ModelwrightError(f"{word!r} is not of the form key=value" + (f"; did you mean recipe={word}?" if known else ""))
    return words


def _command(given: list[str]) -> int:
    name, rest = (given[0], given[1:]) if given else ("--help", [])
    registry = discover().registry
    known = [*OURS, *registry.names("command")]
    if name in {"-h", "--help", "help"}:
        print("usage: modelwright COMMAND …     (--debug: tracebacks)\n")
        for command in known:
            print(f"  {command:<9} {OURS.get(command) or registry.get('command', command).summary()}")
        return 0
    if name == "--version":
        print(f"modelwright {__version__}")
        return 0
    if name not in known:
        raise ModelwrightError(f"no command {name!r}{nearest(name, known)}{registry.excuse()}")
    if {"-h", "--help"} & set(rest):
        print(RUN_HELP if name == "run" else OURS.get(name) or registry.get("command", name).summary())
        return 0
    if name == "run":
        return _run(rest)
    if name == "resume":
        return _resume(rest)
    return int(registry.get("command", name).load()().run(rest))  # type: ignore[attr-defined]


def _resume(words: list[str]) -> int:
    from modelwright import launch
    from modelwright.run import resume

    if len(words) != 1:
        raise ModelwrightError("resume which run? modelwright resume runs/…")
    folder = Path(words[0])
    launch.lead(lambda: _farewell(resume(folder), folder))
    return 0


def _run(given: list[str]) -> int:
    from modelwright import launch

    sweep = bool({"-m", "--multirun"} & set(given))
    only_overrides([word for word in given if not word.startswith("-")])
    if sweep and launch.world():
        raise ModelwrightError("-m under torchrun or Slurm would sweep on every rank; let Modelwright start the ranks of each job")
    return int(launch.lead(lambda: _with_hydra(given, sweep)) or 0)


_failure: Exception | None = None  # of a single run: Hydra would print its own lines round an exception


def _with_hydra(given: list[str], sweep: bool) -> int:
    import hydra

    from modelwright.catalogue import CONF
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
        folder = next(word for word in given if word.startswith("run.dir=")).partition("=")[2].strip("'\"")
        return _command(["compare", folder])
    return 0


def one_job(config: DictConfig) -> None:
    """What Hydra calls for a run, or for each job of a sweep (there, a failure is written down and the sweep goes on)."""
    global _failure
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from modelwright.compose import freeze
    from modelwright.run import note_failure, start

    hydra = HydraConfig.get()
    folder, sweep = Path(hydra.runtime.output_dir), hydra.mode == RunMode.MULTIRUN
    overrides = [o for o in hydra.overrides.task if not o.startswith("run.dir=")]
    print(f"\njob {hydra.job.num}: {' '.join(overrides)}" if sweep else f"run: {shown(folder)}", flush=True)
    try:
        _farewell(start(freeze(config, hydra), folder, overrides), None if sweep else folder)
    except Exception as e:
        if sweep:
            note_failure(folder, overrides, disk_error(e) or e)
            return
        _failure = e
        if (folder / "manifest.json").exists():
            print(f"modelwright resume {shown(folder)}   goes on from here, when what stopped it is mended", flush=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # nothing was run: leave nothing


def shown(path: Path) -> Path:
    """The path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _farewell(manifest: dict[str, Any], folder: Path | None) -> None:
    """The last lines of a run: its numbers, and, unless it is a job of a sweep, where it is and what to try next."""
    from modelwright.run import headline

    for name, value in headline(manifest).items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    if folder is None:
        return
    page = next((p for p in (folder / "report.html", folder / "metrics.jsonl") if p.exists()), None)
    print(f"\nThe run is in {shown(folder)}" + (f"; open {shown(page)}" if page else ""))
    if manifest["next"]:
        print("Try next:")
    for overrides in manifest["next"]:
        print(f"  modelwright run recipe={manifest['recipe']} {overrides}")
