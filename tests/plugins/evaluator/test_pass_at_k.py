"""pass@k: the estimator by counting every choice, HumanEval's format, and programs that are really run."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator.pass_at_k import STOPS, PassAtK, Task, pass_at_k
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.sandbox import NoSandbox, wrapping

DOUBLE = {
    "task_id": "T/0",
    "prompt": 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(2) == 4\n    assert half(candidate(3)) == 3\n",
}
ADD = {"task_id": "T/1", "prompt": "def add(a, b):\n", "entry_point": "add", "test": "assert add(1, 2) == 3\n"}
RIGHT, WRONG = "    return 2 * x\n", "    return x\n"


class Saying:
    """A model that says what is written here, in turn."""

    first = True

    def __init__(self, *said: str) -> None:
        self.said, self.asked, self.generator = said, list[Any](), Sampling(stop=["!"])

    def complete(self, texts: list[str], generator: Any) -> list[str]:
        self.asked, self.stop = list(texts), generator.stop
        return [self.said[number % len(self.said)] for number in range(len(texts))]

    def reply(self, conversations: list[Any]) -> list[str]:
        self.asked = list(conversations)
        return [self.said[number % len(self.said)] for number in range(len(conversations))]


def written(folder: Path, *lines: Any) -> Path:
    (file := folder / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_the_estimator_is_the_share_of_all_choices() -> None:
    """Chen et al. 2021, equation 1, in the words that it stands for: of all k that might have been drawn, those with a right one."""
    for samples in range(1, 8):
        for right in range(samples + 1):
            for k in range(1, samples + 1):
                choices = [any(place < right for place in choice) for choice in combinations(range(samples), k)]
                assert pass_at_k(samples, right, k) == pytest.approx(sum(choices) / len(choices), abs=1e-12), (samples, right, k)
    assert pass_at_k(200, 200, 100) == 1 and pass_at_k(200, 0, 100) == 0
    assert pass_at_k(200, 3, 1) == pytest.approx(0.015)


def test_programs_are_run(tmp_path: Path) -> None:
    try:
        wrapping()
    except NoSandbox as error:
        pytest.skip(str(error))
    model: Any = Saying(RIGHT + "\nprint(double(2))", WRONG)
    judge = PassAtK(path=written(tmp_path, DOUBLE, ADD), k=[2, 1], samples=4, seconds=30)
    assert judge.problems() == []
    one, two = judge.evaluate(model, tmp_path, seed=1)
    assert (one.name, one.value, one.count) == ("pass_at_1", pytest.approx((2 / 4 + 0) / 2), 2)
    assert (two.name, two.value) == ("pass_at_2", pytest.approx((1 - 1 / 6) / 2))  # of 6 pairs one is of two wrong programs
    assert one.low < one.value < one.high
    assert model.asked == [DOUBLE["prompt"]] * 4 + [ADD["prompt"]] * 4 and model.stop == ["!", *STOPS]
    lines = [json.loads(line) for line in (tmp_path / "programs.jsonl").read_text().splitlines()]
    assert [line["passed"] for line in lines] == [True, False, True, False] + [False] * 4
    assert lines[0]["said"] == RIGHT and all(line["why"] for line in lines[1::2])


def test_programs_are_kept_where_running_them_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verdicts(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(PassAtK, "_verdicts", verdicts)
    with pytest.raises(OSError, match="no space"):
        PassAtK(path=written(tmp_path, DOUBLE), k=[1], samples=2).evaluate(Saying(RIGHT, WRONG), tmp_path, seed=1)  # type: ignore[arg-type]
    said = [json.loads(line)["said"] for line in (tmp_path / "programs.jsonl").read_text().splitlines()]
    assert said == [RIGHT, WRONG]


def test_the_program_of_a_reply() -> None:
    task = Task.of(DOUBLE)
    assert task.tests.endswith("check(double)\n")
    above = "import math\n\n\ndef half(x):\n    return x / 2\n\n\n"
    whole = "```python\ndef double(x):\n    return 2 * x\n```"
    assert task.program(f"Here:\n{whole}", chat=True) == f"{above}\ndef double(x):\n    return 2 * x\n"
    assert task.program("```\n    return 2 * x\n```", chat=True) == DOUBLE["prompt"] + "\n    return 2 * x\n"
    assert task.program("```text\nno\n```", chat=True) == "" and task.program(RIGHT, chat=False) == DOUBLE["prompt"] + RIGHT
    assert Task.of(ADD).tests == ADD["test"]
    assert Task.of(DOUBLE | {"test": DOUBLE["test"] + "check(double)\n"}).tests.count("check(double)") == 1


def test_a_chat_is_asked_for_the_function(tmp_path: Path) -> None:
    model: Any = Saying("I would rather not:\n```text\n```")
    (one,) = PassAtK(path=written(tmp_path, DOUBLE), k=[1], samples=2, chat=True).evaluate(model, tmp_path, seed=1)
    assert (one.value, one.low) == (0, 0) and one.high > 0.5  # a task alone tells little
    (asked, _) = model.asked
    assert asked[0]["role"] == "user" and f"```python\n{DOUBLE['prompt'].rstrip()}\n```" in asked[0]["content"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"test": "x = 1"}, "test is not one: tests run nothing"),
        ({"test": "def check("}, "test is not one"),
        ({"entry_point": "a b"}, "is the name of a function"),
        ({"prompt": ""}, "no prompt"),
        ({"task_id": 3}, "no task_id"),
    ],
)
def test_a_task_that_is_wrong_is_named(changed: Any, why: str, tmp_path: Path) -> None:
    (line,) = PassAtK(path=written(tmp_path, ADD, DOUBLE | changed)).problems()
    assert line.startswith(f"{tmp_path}/tasks.jsonl:2: ") and why in line
    with pytest.raises(ModelwrightError, match="there is no task in it"):
        PassAtK(path=written(tmp_path)).read()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"k": [11]}, "numbers from 1 to samples=10"),
        ({"k": []}, "k is"),
        ({"k": [1, 1]}, "different"),
        ({"samples": 0}, "samples is 0"),
        ({"tasks": 0}, "tasks is 0"),
        ({"instruction": "do"}, "it has {prompt} in it"),
        ({"memory_mb": 1}, "memory_mb is 1"),
    ],
)
def test_parameters_of_pass_at_k(fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PassAtK(path=Path("x"), **fields)
