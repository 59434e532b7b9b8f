"""What the commands `run`, `resume` and `plan` do with a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modelwright import launch
from modelwright.errors import ModelwrightError
from modelwright_plugins.command.begun import begun_with, changed
from modelwright_plugins.command.farewell import after_failing
from modelwright_plugins.pipeline.composing import coming, compose, troubles
from modelwright_plugins.pipeline.farewell import farewell
from modelwright_plugins.pipeline.phases import RECORD, Pipeline, shared
from modelwright_plugins.pipeline.running import begin, go_on, read
from modelwright_plugins.terminal import shown, typed

FLAGS = {"-m", "--multirun"}


def run(pipeline: Pipeline, folder: Path, words: Sequence[str]) -> int:
    """`modelwright run` with these words, of which one named the pipeline and one the folder."""
    if FLAGS & set(words):
        raise ModelwrightError(f"-m: a pipeline is one job and is not swept; sweep the recipe of one phase ({_listed(pipeline)})")
    if option := next((word for word in words if word.startswith("-")), None):
        raise ModelwrightError(f"{option}: a pipeline takes no option of Hydra's")
    given = [word for word in words if not word.startswith("run.dir=")]
    return _led(folder, lambda: begin(shared(pipeline, given), folder, given))


def resume(folder: Path) -> int:
    """`modelwright resume FOLDER`, of a pipeline's folder."""

    def work() -> dict[str, dict[str, Any]]:
        for phase in read(folder)["phases"]:
            for line in changed(folder / phase["name"], begun_with(folder)):
                print(line, flush=True)
        return go_on(folder)

    return _led(folder, work)


def plan(pipeline: Pipeline, words: Sequence[str], told: Callable[..., None]) -> list[str]:
    """Print each phase with what it builds on; `told(config, bound, problems, makers)` prints its stages.
    What would stop the pipeline is returned, a line each."""
    phases = compose(shared(pipeline, words), Path("runs") / "…")
    found = troubles(phases)
    for number, each in enumerate(phases, 1):
        base = f", from {each.phase.builds_on}" if each.phase.builds_on else ""
        print(f"{'' if number == 1 else chr(10)}phase {number}/{len(phases)}: {each.phase.name}{base}")
        makers, outside = coming(each, phases)
        told({**each.config, "from": outside}, each.bound, found, makers)
    return found


def _led(folder: Path, work: Callable[[], dict[str, dict[str, Any]]]) -> int:
    def led() -> None:
        try:
            farewell(work(), folder, read(folder))
        except BaseException as e:
            if (folder / RECORD).exists() and getattr(e, "key", None) != "run.dir":
                stopped = [f"{typed('resume', shown(folder))}   goes on from the last checkpoint"]
                lines = stopped if isinstance(e, KeyboardInterrupt) else after_failing(e, folder, read(folder)["words"])
                print("", *lines, sep="\n", flush=True)
            raise

    launch.lead(led)
    return 0


def _listed(pipeline: Pipeline) -> str:
    recipes = {p.name: w.partition("=")[2] for p in pipeline.phases for w in p.overrides if w.startswith("recipe=")}
    return ", ".join(f"{name}: {recipe}" for name, recipe in recipes.items()) or "or stages and settings of your own"
