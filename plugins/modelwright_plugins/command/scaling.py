"""`modelwright scaling`: a scaling law fitted to runs, and what it says of bigger ones."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from modelwright.component import Command
from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.scaling.units import number, power, short
from modelwright_plugins.terminal import shown

if TYPE_CHECKING:
    from modelwright_plugins.scaling.observations import Observations
    from modelwright_plugins.scaling.optimum import Allocation
    from modelwright_plugins.scaling.page import Findings

OPTIONS = ("--law", "--budget", "--predict", "--bootstrap", "--seed", "--page", "--columns")


@dataclass(frozen=True, kw_only=True)
class Scaling(Command):
    """Fit a scaling law to runs, and foresee bigger ones: modelwright scaling fit SWEEP… | CSV…

    modelwright scaling fit runs/scaling/ladder/…           the runs of a sweep, from what they wrote down
    modelwright scaling fit losses.csv --law kaplan         a table of parameters, tokens or FLOPs, and loss

    --law chinchilla|kaplan        the form: L = E + A/N^alpha + B/D^beta, or ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D
    --budget FLOPS[,FLOPS…]        the best parameters and tokens for each; without it, for 1, 10 and 100 times the largest run
    --predict PARAMETERS,TOKENS    the loss that such a run will measure; may be given several times (1.2e9 or 1.2B)
    --bootstrap N                  samples that the 95 % intervals come from (500; 0: no intervals)
    --seed N                       of the samples
    --columns parameters=NAME,tokens=NAME,flops=NAME,loss=NAME     of the table, where they are not found by their usual names
    --page FILE                    where to write the page; scaling.html in the sweep, or beside the table
    """

    def run(self, arguments: list[str]) -> int:
        from modelwright_plugins.scaling.page import page

        if arguments[:1] != ["fit"]:
            hint = nearest(arguments[0], ["fit"]) if arguments else ""
            raise ModelwrightError(f"scaling does what? modelwright scaling fit SWEEP… | CSV…{hint}")
        asked = _parsed(arguments[1:])
        found = _found(asked, shlex.join(["modelwright", "scaling", *arguments]))
        print("\n".join(lines(found)), flush=True)
        file: Path = asked.page or _beside(asked.inputs)
        file.write_text(page(found), encoding="utf-8", errors="replace")
        print(f"\nThe page is {shown(file)}")
        return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ModelwrightError(f"scaling fit: {message}")


def _parsed(arguments: list[str]) -> argparse.Namespace:
    from modelwright_plugins.scaling.laws import LAWS

    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--law", default="chinchilla")
    parser.add_argument("--budget", action="append", type=_numbers, default=[])
    parser.add_argument("--predict", action="append", type=_numbers, default=[])
    parser.add_argument("--bootstrap", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--columns", type=_columns, default={})
    asked, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        raise ModelwrightError(f"scaling fit: no option {unknown[0].partition('=')[0]!r}{nearest(unknown[0].partition('=')[0], OPTIONS)}")
    if asked.law not in LAWS:
        raise ModelwrightError(f"scaling fit: --law: no law named {asked.law!r}{nearest(asked.law, LAWS)}")
    if not asked.inputs:
        raise ModelwrightError("scaling fit: fit what? name the folder of a sweep, or a CSV file of parameters, tokens or FLOPs, and loss")
    for pair in asked.predict:
        if len(pair) != 2:
            raise ModelwrightError(f"scaling fit: --predict: expected PARAMETERS,TOKENS, as in 7B,1.4T; found {len(pair)} numbers")
    if asked.bootstrap < 0 or asked.seed < 0:
        raise ModelwrightError("scaling fit: --bootstrap and --seed are 0 or more")
    return asked


def _numbers(text: str) -> list[float]:
    try:
        return [number(part) for part in text.split(",")]
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def _columns(text: str) -> dict[str, str]:
    from modelwright_plugins.scaling.observations import NAMES

    found = {}
    for part in text.split(","):
        role, sign, name = part.partition("=")
        if not sign or role.strip() not in NAMES:
            raise argparse.ArgumentTypeError(
                f"expected parameters=NAME, tokens=NAME, flops=NAME or loss=NAME, found {part!r}{nearest(role, NAMES)}"
            )
        found[role.strip()] = name.strip()
    return found


def _found(asked: argparse.Namespace, command: str) -> Findings:
    from modelwright_plugins.scaling.backtest import backtest
    from modelwright_plugins.scaling.fit import fit
    from modelwright_plugins.scaling.laws import LAWS
    from modelwright_plugins.scaling.optimum import Allocation, allocation, unfit
    from modelwright_plugins.scaling.page import Findings

    law = LAWS[asked.law]
    fitted = fit(law, _observations(asked, embeddings=law.embeddings), bootstrap=asked.bootstrap, seed=asked.seed)
    largest = float(fitted.observations.flops.max())
    budgets = sorted(c for each in asked.budget for c in each) or [largest, 10 * largest, 100 * largest]
    none = float("nan")
    predictions = [Allocation(6 * n * d, (n, none, none), (d, none, none), fitted.predicted(n, d)) for n, d in asked.predict]
    allocations = [a for c in budgets if (a := allocation(fitted, c))]
    dropped = [(c, why) for c in budgets if (why := unfit(fitted, c))]
    return Findings(fitted, allocations, predictions, backtest(fitted), command, dropped)


def _observations(asked: argparse.Namespace, *, embeddings: bool) -> Observations:
    from modelwright_plugins.scaling.observations import joined, read_csv
    from modelwright_plugins.scaling.sweep import read_runs

    folders = [path for path in asked.inputs if path.is_dir()]
    parts = [read_csv(path, asked.columns) for path in asked.inputs if path not in folders]
    return joined([*parts, *([read_runs(folders, embeddings=embeddings)] if folders else [])])


def _beside(inputs: Sequence[Path]) -> Path:
    """scaling.html in the only input's folder; in the current one where there are several, or where that can't be written."""
    folder = (inputs[0] if inputs[0].is_dir() else inputs[0].parent) if len(inputs) == 1 else Path()
    return (folder if os.access(folder, os.W_OK) else Path()) / "scaling.html"


def lines(found: Findings) -> Iterator[str]:
    """What is printed: the law, its coefficients, the best use of each budget, the runs that were asked about."""
    fit, o = found.fit, found.fit.observations
    for line in o.quarantined[:5]:
        yield f"set aside: {line}"
    if len(o.quarantined) > 5:
        yield f"set aside: {len(o.quarantined) - 5} more; the page has all {len(o.quarantined)}"
    counted = "" if fit.law.embeddings else ", N without embeddings"
    yield f"{fit.law.name}: {fit.law.formula}{counted}   ({fit.law.source})"
    yield (
        f"{len(o.loss)} runs of {o.name}: {short(o.parameters.min())} to {short(o.parameters.max())} parameters, "
        f"{short(o.tokens.min())} to {short(o.tokens.max())} tokens, loss {o.loss.max():.3f} to {o.loss.min():.3f}"
    )
    if o.quarantined:
        yield f"{len(o.quarantined)} set aside"
    yield ""
    coefficients = [(name, f"{value:.4g}", _span(low, high, "{:.4g}".format)) for name, value, low, high in found.coefficients]
    yield from _table(("coefficient", "value", "95 % interval"), coefficients)
    if found.allocations:
        yield ""
        header = ("budget", "best parameters", "95 % interval", "tokens", "loss", "95 % interval")
        yield from _table(header, [_spent(a) for a in found.allocations])
    if found.predictions:
        yield ""
        yield from _table(("run", "FLOPs", "loss", "95 % interval"), [_foreseen(a) for a in found.predictions])
    yield from ("", found.believed, *(f"warning: {warning}" for warning in found.warnings))


def _spent(a: Allocation) -> tuple[str, ...]:
    size, loss = _span(*a.parameters[1:], short), _span(*a.loss[1:], "{:.3f}".format)
    return f"{power(a.flops)} FLOPs", short(a.parameters[0]), size, short(a.tokens[0]), f"{a.loss[0]:.3f}", loss


def _foreseen(a: Allocation) -> tuple[str, ...]:
    run = f"{short(a.parameters[0])} parameters, {short(a.tokens[0])} tokens"
    return run, power(a.flops), f"{a.loss[0]:.3f}", _span(*a.loss[1:], "{:.3f}".format)


def _span(low: float, high: float, form: Callable[[float], str]) -> str:
    return f"{form(low)} to {form(high)}" if low == low else "-"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
