"""What an executor promises."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import hold, promised

TASKS, BAD = 5, 2


@dataclass(frozen=True, kw_only=True)
class Executors(Conformance):
    """An executor: every task runs once, with steps of its own; one that fails is an error that names it."""

    example = "modelwright_plugins.conformance.examples.executor"

    def check(self, component: Any, folder: Path) -> None:
        from modelwright_plugins.conformance._pipeline import Make, Save

        said = io.StringIO()
        with promised(component, "every task runs, once, with steps that no other task has used, and all are done when it comes back"):
            (out := folder / "out").mkdir()
            steps = [Make(), Save(out)]
            with contextlib.redirect_stdout(said):
                component.run(steps, tasks=TASKS, logs=folder / "logs", title="check", total=None)
            wanted = {f"{rank}.txt": [f"{rank}-{i} {TASKS} 1" for i in range(3)] for rank in range(TASKS)}
            found = _written(out)
            hold(sorted(found) == sorted(wanted), f"{sorted(found)} were written, not {sorted(wanted)}")
            for name, lines in wanted.items():
                hold(found[name] == lines, f"task {name[:-4]} wrote {found[name]}, not {lines}")
            hold(steps[1].used == 0, "the steps that it was given were used themselves, and not copies")  # type: ignore[attr-defined]
        with promised(component, "what it logs goes to files in `logs`, and nothing to the terminal"):
            hold(not said.getvalue(), f"it printed {said.getvalue()[:80]!r}")
            hold(any((folder / "logs").rglob("*")), "there is no file in logs")
        with promised(component, "a task that fails is a ModelwrightError that names it and why"):
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
        with promised(component, "tasks, how many shares of the input it wants, is 1 or more"):
            hold(component.tasks >= 1, f"it is {component.tasks}")


def _written(folder: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text().splitlines() for file in sorted(folder.iterdir())}
