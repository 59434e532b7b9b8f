"""Whether a reply's program passes the example's tests."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from modelwright_plugins.reward import Asked, Reward, Score
from modelwright_plugins.sandbox import Limits

FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class UnitTests(Reward):
    """Whether the program in a reply passes the tests that are the example's answer, run in a sandbox.

    Tests are Python (asserts as in MBPP, functions test_…, classes of unittest, HumanEval's `check` with a line `check(ENTRY_POINT)`
    behind it) or {"inputs": […], "outputs": […]} as in APPS. The program never meets the tests: it computes in a sandbox of its own,
    so that it can't pass by ending early, by patching `assert`, or by being equal to everything. What tests use and neither define
    nor import is the program's, modules of the standard library aside. A reply's program is Python with the standard library.
    """

    mode: Literal["all", "share"] = "all"  # 1 where all tests hold, otherwise 0; or the share of tests that hold
    block: Literal["last", "first", "all"] = "last"  # which of a reply's ``` blocks of Python; a reply without one is a program itself
    no_program: float = 0.0  # the score of a reply that is empty, or whose blocks are
    seconds: float = 5.0  # by the clock, for all asserts together, or for each input
    memory_mb: int = 512  # MiB that the program may have
    at_once: int | None = None  # replies examined at a time; null: as many as there are processor cores

    sample_answer: ClassVar[str] = "assert f(1) == 1\nassert f(2) == 4"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.no_program):
            raise ValueError(f"no_program is {self.no_program}; it is a finite number")
        if self.at_once is not None and self.at_once < 1:
            raise ValueError(f"at_once is {self.at_once}; it is 1 or more")
        self._limits()

    def _limits(self) -> Limits:
        return Limits(seconds=self.seconds, memory_mb=self.memory_mb)

    def lacks(self, answer: str | None) -> str:
        from modelwright_plugins.sandbox.examined import read

        try:
            read((answer or "").strip())
        except ValueError as error:
            return f"has no tests: {error}"
        return ""

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        from modelwright_plugins.sandbox.examined import examined_all

        for each in asked:
            if why := self.lacks(each.answer):
                raise ValueError(f"reward unit_tests: the example of {str(list(each.prompt))[:80]!r}: its answer {why}")
        programs = [program(each.reply, self.block) for each in asked]
        pairs = [(code, (each.answer or "").strip()) for code, each in zip(programs, asked, strict=True) if code.strip()]
        verdicts = iter(examined_all(pairs, limits=self._limits(), at_once=self.at_once) if pairs else ())
        found: list[Score] = []
        for code in programs:
            if not code.strip():
                found.append(self.no_program)
                continue
            verdict = next(verdicts)
            found.append(verdict.passed / verdict.of if self.mode == "share" else float(verdict.passed == verdict.of))
        return found


def program(reply: str, block: Literal["last", "first", "all"]) -> str:
    """The program in a reply: what stands between ``` marks that name Python or nothing; a mark that is not closed goes to the end."""
    blocks = [text for language, text in FENCE.findall(reply) if language.lower() in ("", "python", "python3", "py")]
    if not blocks:
        return "" if "```" in reply else reply
    return {"last": blocks[-1], "first": blocks[0], "all": "\n".join(blocks)}[block]
