"""What an executor promises."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised

TASKS, BAD = 5, 2
LINES = {f"{rank}.txt": [f"{rank}-{i} {TASKS} 1" for i in range(3)] for rank in range(TASKS)}  # what each task writes, once


@dataclass(frozen=True, kw_only=True)
class Executors(Conformance):
    """An executor: every task is done once, with steps of its own; one that fails is run again, and if it still fails, named."""

    example = "modelwright_plugins.conformance.examples.executor"

    def check(self, component: Any, folder: Path) -> None:
        from modelwright_plugins.conformance._pipeline import FailOnce, Make, Save

        with promised(component, "tasks, how many shares of the input it wants, is 1 or more"):
            hold(component.tasks >= 1, f"it is {component.tasks}")
        with promised(component, "problems tells, a line each, why it can't run from here, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it is {problems!r}")
            hold(all(isinstance(line, str) and line and "\n" not in line for line in problems), f"{problems} are not lines")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        if problems:
            warnings.warn(f"{type(component).__name__} was not run: {problems[0]}", stacklevel=2)
            return
        said = io.StringIO()
        with promised(component, "every task runs, once, with steps that no other task has used, and all are done when it comes back"):
            (out := folder / "out").mkdir()
            steps = [Make(), Save(out)]
            with contextlib.redirect_stdout(said):
                component.run(steps, tasks=TASKS, logs=folder / "logs", title="check", total=None)
            _done_once(_written(out))
            hold(steps[1].used == 0, "the steps that it was given were used themselves, and not copies")  # type: ignore[attr-defined]
        with promised(component, "what it logs goes to files in `logs`, and nothing to the terminal"):
            hold(not said.getvalue(), f"it printed {said.getvalue()[:80]!r}")
            hold(any((folder / "logs").rglob("*")), "there is no file in logs")
        with promised(component, "tasks that an earlier call with the same logs has finished are not run again"):
            with contextlib.redirect_stdout(said):
                component.run([Make(), Save(out)], tasks=TASKS, logs=folder / "logs", title="check", total=None)
            _done_once(_written(out))
        with promised(component, "a task that failed once and then succeeds is done, once, with fresh steps"):
            (out := folder / "again").mkdir()
            with contextlib.redirect_stdout(said):
                steps = [Make(), FailOnce(folder / "failed", BAD), Save(out)]
                component.run(steps, tasks=TASKS, logs=folder / "logs4", title="check", total=None)
            hold((folder / "failed").exists(), f"task {BAD} didn't run")
            _done_once(_written(out))
        with promised(component, "a task that fails again is a ModelwrightError that names it and why"):
            (out := folder / "failing").mkdir()
            try:
                with contextlib.redirect_stdout(said):
                    component.run([Make(), Save(out, failing=BAD)], tasks=TASKS, logs=folder / "logs2", title="check", total=None)
            except ModelwrightError as e:
                hold(f"{BAD}" in str(e) and "no good" in str(e), f"the error is: {e}")
            else:
                hold(False, f"task {BAD} failed, and nothing was said")
        with promised(component, "a task that has finished is not run again, also when another fails"):
            for name, lines in _written(out).items():
                hold(len(lines) == len(set(lines)), f"task {name[:-4]} ran {len(lines) // 3} times")
        with promised(component, "one task is enough, and a progress bar over `total` bytes is no error"):
            (out := folder / "single").mkdir()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                component.run([Make(), Save(out)], tasks=1, logs=folder / "logs3", title="check", total=30)
            hold(_written(out) == {"0.txt": [f"0-{i} 1 1" for i in range(3)]}, f"it wrote {_written(out)}")


def _problems(component: Any) -> tuple[list[str], list[str]]:
    return component.problems(), heavy_modules()


def _done_once(found: dict[str, list[str]]) -> None:
    hold(sorted(found) == sorted(LINES), f"{sorted(found)} were written, not {sorted(LINES)}")
    for name, lines in LINES.items():
        hold(found[name] == lines, f"task {name[:-4]} wrote {found[name]}, not {lines}")


def _written(folder: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text().splitlines() for file in sorted(folder.iterdir())}
