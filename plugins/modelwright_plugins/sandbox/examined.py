"""Whether a program does what tests say, where the program would gain by cheating.

The program runs in one sandbox and the tests in another. The program is only asked to compute: no expected value, no assert and
no verdict is where it could be changed, so that to end early, to patch `assert` or to answer "passed" is no way to pass.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelwright_plugins.sandbox import Limits, _tests, cores, wrapping
from modelwright_plugins.sandbox._process import Started


@dataclass(frozen=True)
class Verdict:
    """How many tests held."""

    passed: int
    of: int
    why: str | None  # what happened first to one that did not hold


@dataclass(frozen=True)
class Cases:
    """Texts that a program reads, and what it should write (blanks at the ends of lines, and empty lines at the end, aside)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read(tests: str) -> str | Cases:
    """Tests as people write them: Python, or {"inputs": […], "outputs": […]}.

    Of Python: asserts, calls of functions of their own as `check(NAME)`, functions test_…, classes of unittest. HumanEval's own field
    defines `check` and does not call it: a line `check(ENTRY_POINT)` is to be added. ValueError, in one line: they are neither, or
    none of them would be run, or none could fail.
    """
    try:
        found = json.loads(tests)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and {"inputs", "outputs"} <= found.keys():
        inputs, outputs = found["inputs"], found["outputs"]
        both = (inputs, outputs)
        if not all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in both) or len(inputs) != len(outputs):
            raise ValueError("tests have inputs and outputs that are not lists of as many strings")
        if not inputs:
            raise ValueError("tests have no inputs")
        return Cases(tuple(inputs), tuple(outputs))
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"tests are neither Python nor inputs and outputs: {' '.join(str(error).split())}") from error
    if why := _tests.refused(tree):
        raise ValueError(why)
    return tests


def examined(code: str, tests: str, *, limits: Limits | None = None) -> Verdict:
    """Run `tests` on the program `code`. `limits` are those of one run: all asserts together, or one input.

    NoSandbox: there is nothing here to run it in. ValueError: the tests are none.
    """
    wanted, limits = read(tests), limits or Limits()
    return _cases(code, wanted, limits) if isinstance(wanted, Cases) else _asserts(code, wanted, limits)


def examined_all(pairs: Sequence[tuple[str, str]], *, limits: Limits | None = None, at_once: int | None = None) -> list[Verdict]:
    """A verdict for each (code, tests), as many at once as there are processor cores, unless `at_once` says how many."""
    wrapping()  # tried once, not by each thread
    with ThreadPoolExecutor(at_once or cores()) as pool:
        return list(pool.map(lambda pair: examined(*pair, limits=limits), pairs))


def _cases(code: str, cases: Cases, limits: Limits) -> Verdict:
    passed, why = 0, None
    for given, expected in zip(cases.inputs, cases.outputs, strict=True):
        outcome = Started(code, stdin=given, limits=limits).outcome()
        if outcome.status == "ok" and _lines(outcome.stdout) == _lines(expected):
            passed += 1
        elif why is None:
            last = outcome.stderr.strip().splitlines()
            why = f"it wrote {outcome.stdout[:60]!r}" if outcome.status == "ok" else f"{outcome.status}: {last[-1] if last else ''}"
    return Verdict(passed, len(cases.inputs), why)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _asserts(code: str, tests: str, limits: Limits) -> Verdict:
    to_worker, to_tester = os.pipe(), os.pipe()  # (to read, to write)
    mine = {*to_worker, *to_tester}
    worker = None
    try:
        ends = (to_worker[0], to_tester[1])
        worker = Started(_script("_worker.py"), files={"tested.py": code}, limits=limits, channel=ends)
        mine -= {*ends}
        ends = (to_tester[0], to_worker[1])
        tester = Started(_script("_tester.py"), files={"tests.py": tests}, limits=limits, channel=ends)
        mine -= {*ends}
        outcome = tester.outcome()
    finally:
        for each in mine:
            os.close(each)
        if worker is not None:
            worker.end()
    lines = [line.partition(" ") for line in outcome.stdout.splitlines()]
    of = [int(text) for word, _, text in lines if word == "of"]
    why = next((text for word, _, text in lines if word == "why"), None)
    passed = sum(word == "passed" for word, _, _ in lines)
    if of and any(word == "broken" for word, _, _ in lines):  # by a statement that is no test of its own
        passed = min(passed, of[0] - 1)
    if not of:  # the tests were not even read: this is no verdict on the program, unless time ran out
        if outcome.status != "timeout":
            raise RuntimeError(f"tests could not be run: {(outcome.stderr.strip().splitlines() or [outcome.status])[-1]}")
        return Verdict(0, 1, "timeout")
    return Verdict(passed, of[0], None if passed == of[0] else "timeout" if outcome.status == "timeout" else why or outcome.status)


@cache
def _script(name: str) -> str:
    texts = [Path(__file__).with_name(each).read_text() for each in ("_wire.py", "_tests.py", name)]
    return "\n".join(line for text in texts for line in text.splitlines() if not line.startswith("from modelwright_plugins"))
