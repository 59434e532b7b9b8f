"""The command line: a thin door. Everything that it does stands in the other rooms."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright import __version__
from modelwright.errors import ModelwrightError, disk_error, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMMANDS = {
    "run": "run a recipe: modelwright run recipe=pretrain/quickstart [key=value …]; -m sweeps over lists of values",
    "plan": "print what a run would be, without running it: stages, parameters, memory, FLOPs, problems",
    "resume": "go on with a run that was stopped: modelwright resume runs/…",
    "list": "print every component and recipe: modelwright list [kind]",
    "show": "print the page of one thing: modelwright show optimizer/muon",
    "doctor": "print what this machine has, what is broken, and what each missing thing would give",
}
RUN_HELP = """usage: modelwright run recipe=NAME [key=value …] [-m]

  modelwright run recipe=pretrain/quickstart
  modelwright run recipe=pretrain/quickstart optimizer=adamw train.steps=200      another component, another setting
  modelwright run recipe=pretrain/quickstart parallel.tensor=2                    another layout; the ranks are started for you
  modelwright run recipe=pretrain/quickstart -m optimizer.lr=1e-3,3e-3            a sweep: one run for each value
  modelwright run recipe=./mine.yaml run.dir=out                                  a recipe of your own, a folder of your own
  torchrun --nproc-per-node 4 -m modelwright run recipe=…                         joins the ranks that torchrun started

What there is to pick: modelwright list. What a thing's settings are: modelwright show kind/name. Hydra's own options: --hydra-help."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Exits with 0, with 2 on bad input (one line says what), with 1 when a run fails."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [g for g in given if g != "--debug"]
    try:
        sys.exit(_command(given))
    except KeyboardInterrupt:
        _complain(["stopped; modelwright resume RUN goes on where it was"], 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `modelwright list | head` is no error
        sys.exit(0)
    except Exception as e:
        if debug:
            traceback.print_exc()
            print(getattr(e, "traceback", ""), file=sys.stderr)
        ours = e if isinstance(e, ModelwrightError) else disk_error(e)
        said = str(ours or (e if hasattr(e, "traceback") else f"{type(e).__name__}: {e} (--debug shows where)"))
        _complain(said.splitlines(), 2 if ours else 1)


def _complain(lines: Iterable[str], code: int) -> None:
    for line in lines:
        print(f"modelwright: {line}", file=sys.stderr)
    sys.exit(code)


def _command(given: list[str]) -> int:
    name, rest = (given[0], given[1:]) if given else ("--help", [])
    if name in {"-h", "--help", "help"}:
        print("usage: modelwright COMMAND …     (--debug: tracebacks)\n")
        print("\n".join(f"  {command:<8}{about}" for command, about in COMMANDS.items()))
        return 0
    if name == "--version":
        print(f"modelwright {__version__}")
        return 0
    if name not in COMMANDS:
        raise ModelwrightError(f"no command {name!r}{nearest(name, COMMANDS)}")
    if name == "run":
        return _run(rest)
    if name == "plan":
        return _plan(rest)
    parser = argparse.ArgumentParser(f"modelwright {name}", description=COMMANDS[name])
    if name in {"list", "show", "resume"}:
        parser.add_argument({"list": "kind", "show": "what", "resume": "run"}[name], nargs="?" if name == "list" else None)
    args = parser.parse_args(rest)
    if name == "resume":
        return _resume(Path(args.run))
    if name == "doctor":
        from modelwright.doctor import checkup

        lines = checkup()
    else:
        from modelwright.catalogue import listing, page

        lines = listing(args.kind) if name == "list" else page(args.what)
    for line in lines:
        print(line)
    return 0


def _plan(overrides: list[str]) -> int:
    from modelwright.plan import forecast

    if {"-h", "--help"} & set(overrides):
        print(f"usage: modelwright plan recipe=NAME [key=value …]\n\n{COMMANDS['plan']}")
        return 0
    found = forecast(_only_overrides(overrides))
    _complain(found, 2) if found else None
    return 0


def _only_overrides(given: list[str]) -> list[str]:
    for word in given:
        if "=" not in word and not word.startswith("~"):
            raise ModelwrightError(f"{word!r} is not of the form key=value" + (f"; did you mean recipe={word}?" if "/" in word else ""))
    return given


def _resume(folder: Path) -> int:
    from modelwright import launch
    from modelwright.run import resume

    launch.lead(lambda: _farewell(resume(folder), folder))
    return 0


def _run(given: list[str]) -> int:
    from modelwright import launch

    if {"-h", "--help"} & set(given):
        print(RUN_HELP)
        return 0
    sweep = bool({"-m", "--multirun"} & set(given))
    _only_overrides([g for g in given if not g.startswith("-")])
    if sweep and launch.world():
        raise ModelwrightError("-m under torchrun or Slurm would sweep on every rank; let Modelwright start the ranks of each job")
    return int(launch.lead(lambda: _with_hydra(given, sweep)) or 0)


_failure: Exception | None = None  # of a single run: Hydra would print its own lines round an exception


def _with_hydra(given: list[str], sweep: bool) -> int:
    import hydra

    from modelwright.catalogue import CONF
    from modelwright.compose import explained, install

    install()
    if not any(g.lstrip("+").startswith("run.dir=") for g in given):
        recipe = next((g.partition("=")[2] for g in given if g.startswith("recipe=")), "run").split(",")[0]
        given = [*given, f"run.dir='runs/{Path(recipe).stem if recipe.endswith('.yaml') else recipe}/{time.strftime('%Y-%m-%d_%H-%M-%S')}'"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, and we say them in one line
    sys.argv = ["modelwright run", *given]
    try:
        hydra.main(version_base="1.3", config_path=f"pkg://{CONF}", config_name="config")(one_job)()
    except (hydra.errors.HydraException, ValueError) as e:
        raise explained(e, [g for g in given if not g.startswith("-")]) from e
    if _failure is not None:
        raise _failure
    if sweep:
        from modelwright.sweep import table

        folder = Path(next(g for g in given if g.lstrip("+").startswith("run.dir=")).partition("=")[2].strip("'\""))
        return table(folder)
    return 0


def one_job(config: DictConfig) -> None:
    """What Hydra calls for a run, or for each job of a sweep (there, a failure is written down and the sweep goes on)."""
    global _failure
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from modelwright.compose import freeze
    from modelwright.run import start
    from modelwright.sweep import note_failure

    hydra = HydraConfig.get()
    folder, overrides, sweep = Path(hydra.runtime.output_dir), list(hydra.overrides.task), hydra.mode == RunMode.MULTIRUN
    try:
        print(
            f"\njob {hydra.job.num}: {' '.join(o for o in overrides if not o.startswith('run.dir='))}" if sweep else f"run: {folder}",
            flush=True,
        )
        _farewell(start(freeze(config) | {"run": {**config.run, "dir": str(folder)}}, folder, overrides), None if sweep else folder)
    except Exception as e:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # nothing was run: leave nothing
        if not sweep:
            _failure = e
        else:
            note_failure(folder, overrides, disk_error(e) or e)


def _farewell(manifest: dict[str, Any], folder: Path | None) -> int:
    """The last lines of a run: its numbers, where it is, what to try next."""
    from modelwright.run import read_config
    from modelwright.sweep import headline

    for name, value in headline(manifest).items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    if folder is None:
        return 0
    shown = [p for p in (folder / "report.html", folder / "metrics.jsonl") if p.exists()]
    print(f"\nThe run is in {folder}" + (f"; open {shown[0]}" if shown else ""))
    if tries := read_config(folder)["next"]:
        print("Try next:")
        for overrides in tries:
            print(f"  modelwright run recipe={manifest['recipe']} {overrides}")
    return 0
