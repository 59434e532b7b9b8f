"""Whether programs that a model writes do what tests say."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles
from modelwright_plugins.sandbox import Limits, NoSandbox

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.sandbox.examined import Verdict

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # what ends a function's body (Chen et al. 2021, section 3)


@dataclass(frozen=True)
class Task:
    """A function to write, and what it has to do."""

    id: str
    prompt: str  # its beginning: imports, what is above it, its head and docstring
    entry_point: str  # its name
    tests: str  # Python that runs as it stands

    @classmethod
    def of(cls, record: Any) -> Task:
        """ValueError: what is wrong with it."""
        from modelwright_plugins.evaluator._records import text
        from modelwright_plugins.sandbox.examined import read

        name, tests = text(record, "entry_point"), text(record, "test")
        if not name.isidentifier():
            raise ValueError(f"entry_point is {name!r}; it is the name of a function")
        try:
            functions = {node.name for node in ast.parse(tests).body if isinstance(node, ast.FunctionDef)}
            called = "check" in functions and not re.search(r"^check\(", tests, re.MULTILINE)
            tests += f"\n\ncheck({name})\n" if called else ""
            read(tests)
        except (SyntaxError, ValueError) as e:
            raise ValueError(f"test is not one: {e}") from e
        return cls(text(record, "task_id"), text(record, "prompt"), name, tests)

    def program(self, said: str, chat: bool) -> str:
        """With what stands above the function; of a reply, the program in it, which need not write that again."""
        from modelwright_plugins.reward.unit_tests import program

        if not chat:
            return self.prompt + said
        written = program(said, "last")
        if not written.strip():
            return ""
        begin = re.search(rf"^(?:async )?def {self.entry_point}\b", self.prompt, re.MULTILINE)
        whole = re.search(rf"^(?:(?:async )?def|class) {self.entry_point}\b|^{self.entry_point}\s*[=:]", written, re.MULTILINE)
        return f"{self.prompt[: begin.start()] if begin and whole else self.prompt}\n{written}"


@dataclass(frozen=True, kw_only=True)
class PassAtK(OfFiles):
    """The share of tasks that one of k programs solves (Chen et al. 2021, arXiv:2107.03374), as HumanEval has them.

    Of each task `samples` programs are drawn, and pass@k is estimated from how many of them pass, without bias (equation 1). Programs
    run in a sandbox, apart from their tests; they have Python's standard library. The interval is Wilson's over tasks, as though each
    were solved or not: a little wide rather than too narrow, and never of no width. `programs.jsonl` has all of them.

    A line of the file: {"task_id", "prompt", "entry_point", "test"}; `test` defines `check(candidate)`, or is Python that asserts.
    """

    path: Path  # JSON lines
    k: list[int] = field(default_factory=lambda: [1, 10])  # programs that may be tried, a task
    samples: int = 10  # programs drawn, a task; as many as the largest k, better several times that (the paper: 200)
    chat: bool = False  # asked for as a user asks, the program is the reply's last ``` block; false: the prompt goes on as a text
    instruction: str = "Complete this Python function. Answer with the whole function.\n\n```python\n{prompt}\n```"  # of a chat
    tasks: int | None = None  # the first so many; null: all
    seconds: float = 5.0  # by the clock, for all tests of a program
    memory_mb: int = 512  # MiB that a program may have

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples is {self.samples}; it is 1 or more")
        if not self.k or len({*self.k}) != len(self.k) or not all(1 <= k <= self.samples for k in self.k):
            raise ValueError(f"k is {self.k}; it is a list of different numbers from 1 to samples={self.samples}")
        if "{prompt}" not in self.instruction:
            raise ValueError(f"instruction is {self.instruction!r}; it has {{prompt}} in it")
        if self.tasks is not None and self.tasks < 1:
            raise ValueError(f"tasks is {self.tasks}; it is 1 or more, or null")
        self._limits()

    def _limits(self) -> Limits:
        return Limits(seconds=self.seconds, memory_mb=self.memory_mb)

    @property
    def draws(self) -> bool:
        return True

    @property
    def goes_on(self) -> bool:
        return not self.chat

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def problems(self) -> list[str]:
        from modelwright_plugins.sandbox import wrapping

        if found := super().problems():
            return found
        try:
            wrapping()
        except NoSandbox as e:
            return [str(e)]
        return []

    def misfits(self, parts: Parts) -> list[str]:
        from modelwright_plugins.evaluator._alike import alike
        from modelwright_plugins.evaluator._key import key

        own = key(parts, self)
        return alike(parts, f"{own}.samples", self.samples, more=f" {own}.k=[1]")

    def read(self) -> list[Task]:
        """ModelwrightError: the file can't be read, or a line of it, which is named."""
        from modelwright_plugins.evaluator._records import records

        return records(self.path, Task.of, "task", self.tasks)

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.engine.one_rank import on_one_rank
        from modelwright_plugins.evaluator._continued import continued
        from modelwright_plugins.evaluator._records import write
        from modelwright_plugins.evaluator.interval import share

        tasks = self.read()
        every = [task for task in tasks for _ in range(self.samples)]
        if self.chat:
            asked = [self.instruction.replace("{prompt}", task.prompt.rstrip()) for task in every]
            said = model.reply([[{"role": "user", "content": text}] for text in asked])
        else:
            said = continued(model, [task.prompt for task in every], STOPS)
        lines: list[dict[str, Any]] = [{"task_id": task.id, "said": text} for task, text in zip(every, said, strict=True)]
        if model.first:  # hours of a model's may be in them, and running them may fail
            write(out / "programs.jsonl", lines)
        programs = [task.program(text, self.chat) for task, text in zip(every, said, strict=True)]
        verdicts = on_one_rank(lambda: self._verdicts(programs, every))
        passed = [verdict is not None and verdict.passed == verdict.of for verdict in verdicts]
        if model.first:
            for line, verdict, whole in zip(lines, verdicts, passed, strict=True):
                line |= {"passed": whole, "why": verdict.why if verdict else "there is no program"}
            write(out / "programs.jsonl", lines)
        right = [sum(passed[at : at + self.samples]) for at in range(0, len(every), self.samples)]
        return [share(f"pass_at_{k}", [pass_at_k(self.samples, each, k) for each in right]) for k in sorted(self.k)]

    def _verdicts(self, programs: list[str], tasks: list[Task]) -> list[Verdict | None]:
        """None: there is no program. The same program of a task is run once."""
        from modelwright_plugins.sandbox.examined import examined_all

        pairs = [(program, task.tests) for program, task in zip(programs, tasks, strict=True)]
        once = [pair for pair in dict.fromkeys(pairs) if pair[0].strip()]
        found = dict(zip(once, examined_all(once, limits=self._limits()), strict=True))
        return [found.get(pair) for pair in pairs]


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that one of `k` of these samples, drawn without putting back, is one of the `right` ones: 1 - C(samples - right, k) /
    C(samples, k), as a product that overflows nowhere (Chen et al. 2021, equation 1 and figure 3)."""
    wrong = 1.0
    for number in range(samples - right + 1, samples + 1):
        wrong *= max(0.0, 1 - k / number)
    return 1 - wrong
