"""`modelwright compare`: runs side by side, as a table and as a page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.component import Command
from modelwright.errors import ModelwrightError, disk_error, nearest
from modelwright.manifest import write_text
from modelwright.run import MANIFEST
from modelwright_plugins.report.comparison import Comparison, Objective, compared, number, told
from modelwright_plugins.report.runs import Swept, folders, read, swept
from modelwright_plugins.terminal import shown

PAGE = "compare.html"
CELL = 40  # characters at most, in the printed table; the page has all
OPTIONS = ("--by", "--maximize", "--minimize", "--page", "--wandb")


@dataclass(frozen=True, kw_only=True)
class Compare(Command):
    """Print a table of runs and write a page: modelwright compare RUN… | SWEEP.

      modelwright compare runs/pretrain/quickstart/2026-11-21_10-00-00       the jobs of a sweep, best first
      modelwright compare runs/a runs/b                                      runs of your choice
      modelwright compare SWEEP --by train.loss                              sorted by another number, the lowest first
      modelwright compare SWEEP --by evaluate.accuracy --maximize            the highest first
      modelwright compare SWEEP --by evaluate.loss --by train.tokens         several: the Pareto front is marked and comes first
      modelwright compare SWEEP --page out.html                              the page; if not named, compare.html in the sweep's
                                                                             folder, or here
      modelwright compare SWEEP --wandb PROJECT                              the table and the page as a run in Weights & Biases, too

    The table has the settings that differ between the runs, how each ended, and its numbers.
    Without --by, the metric of the sweep decides, or else bits_per_byte, perplexity or loss.
    """

    def run(self, arguments: list[str]) -> int:
        asked = _asked(arguments)
        if not asked.paths:
            raise ModelwrightError("compare which runs? modelwright compare RUN… or the folder of a sweep")
        one = len(asked.paths) == 1 and not (asked.paths[0] / MANIFEST).exists()
        home = asked.paths[0] if one else Path.cwd()
        runs = read(folders(asked.paths))
        sweep = swept(home) if one else Swept()
        found = compared(runs, asked.objectives(sweep), sweep, home if one else Path(asked.paths[0]).parent)
        print()
        for line in _said(found):
            print(line)
        page = asked.page or home / PAGE
        html = _write(page, found)
        print(f"\nThe runs are in {shown(found.folder)}; open {shown(page)}" if one else f"\nOpen {shown(page)}")
        if asked.wandb:
            from modelwright_plugins.report.wandb import send

            print(send(found, html, asked.wandb, page.parent))
        return 0


@dataclass(frozen=True, kw_only=True)
class _Asked:
    paths: list[Path]
    by: list[tuple[str, bool | None]]  # metric, more is better (None: not said)
    page: Path | None
    wandb: str | None

    def objectives(self, sweep: Swept) -> list[Objective] | None:
        """What `--by` named; None when nothing did."""
        known = dict(sweep.objectives)
        if not self.by:
            return None
        return [Objective(metric=name, maximize=known.get(name, False) if more is None else more) for name, more in self.by]


def _asked(arguments: list[str]) -> _Asked:
    words, paths, by = list(arguments), list[Path](), list[tuple[str, bool | None]]()
    single: dict[str, str] = {}
    while words:
        option, has, value = words.pop(0).partition("=")
        if not option.startswith("-"):
            paths.append(Path(option + has + value))
            continue
        if option not in OPTIONS:
            raise ModelwrightError(f"compare has no option {option!r}{nearest(option, OPTIONS)}")
        if option in {"--maximize", "--minimize"}:
            if not by:
                raise ModelwrightError(f"{option} of what? write it after --by METRIC")
            by[-1] = (by[-1][0], option == "--maximize")
            continue
        if not has:
            if not words or words[0].startswith("-"):
                raise ModelwrightError(f"{option} needs a value: {option} {'METRIC' if option == '--by' else option[2:].upper()}")
            value = words.pop(0)
        if option == "--by":
            by.append((value, None))
        else:
            single[option] = value
    page = Path(single["--page"]) if "--page" in single else None
    return _Asked(paths=paths, by=by, page=page, wandb=single.get("--wandb"))


def _write(page: Path, found: Comparison) -> str:
    from modelwright_plugins.report.compare import page as written

    html = written(found).encode("utf-8", errors="replace").decode("utf-8")  # a lone surrogate is no character: it becomes a ?
    try:
        write_text(page, html)
    except OSError as e:
        why = disk_error(e)
        raise ModelwrightError(f"{page}: {e.strerror or why}; name another file: --page FILE") from e
    return html


def _said(found: Comparison) -> Iterator[str]:
    """The table, and why runs ended early."""
    several = len(found.objectives) > 1
    first, rest = found.metrics[: len(found.objectives)], found.metrics[len(found.objectives) :]
    rows = [["run", "status", *map(found.label, first), *found.keys, *map(found.label, rest)]]
    for run in found.runs:
        settings = [told(run.settings[key]) if key in run.settings else "-" for key in found.keys]
        numbers = {name: number(run.metrics[name]) if name in run.metrics else "-" for name in found.metrics}
        mark = "*" if several and run.name in found.front else ""
        rows.append([run.name + mark, run.status, *(numbers[n] for n in first), *settings, *(numbers[n] for n in rest)])
    rows = [[cell if len(cell) <= CELL else cell[: CELL - 1] + "…" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    while len(widths) > 3 and sum(widths) + 2 * (len(widths) - 1) > room:
        widths.pop()
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
    if left := rows[0][len(widths) :]:
        yield f"(the terminal is too narrow for {', '.join(left)}: the page has them)"
    if several:
        yield f"* on the Pareto front of {' and '.join(map(str, found.objectives))}"
    elif found.objectives:
        yield f"Best first: the {found.objectives[0]}."
    if found.caution:
        yield f"warning: {found.caution}"
    for run in found.runs:
        if run.error:
            yield f"{run.name} {run.status}: {' '.join(run.error.split())}"
