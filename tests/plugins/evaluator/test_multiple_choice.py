"""Choices by likelihood: lm-evaluation-harness' arithmetic of the same log-probabilities, and the formats that people have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator.model import Likelihood
from modelwright_plugins.evaluator.multiple_choice import MultipleChoice, Question

QUESTIONS = [
    {"question": "Is there soup?", "choices": ["Yes", "No, there is none at all"], "answer": 1},
    {"question": "Größe?", "choices": ["groß und süß", "klein", "größer"], "answer": "A"},
    {"question": "x", "choices": {"text": ["u", "vvv"], "label": ["1", "2"]}, "answerKey": "2"},
    {"context": "y", "choices": ["aa", "b"], "answer": "b"},
]


class Drawn:
    """A model whose nats are drawn, the same for the same text."""

    first = True

    def __init__(self, seed: int) -> None:
        self.seed, self.asked = seed, list[tuple[str, str]]()

    def likelihoods(self, pairs: list[tuple[str, str]]) -> list[Likelihood]:
        self.asked += pairs
        every = [np.random.default_rng([self.seed, *map(ord, context + said)]) for context, said in pairs]
        return [
            Likelihood(float(rng.gamma(2.0, 3.0) * math.sqrt(len(said))), len(said) // 3 + 1)
            for rng, (_, said) in zip(every, pairs, strict=True)
        ]


def written(folder: Path, *lines: Any) -> Path:
    (file := folder / "q.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return file


@pytest.mark.parametrize("seed", range(6))
def test_it_counts_as_lm_evaluation_harness_does(seed: int, tmp_path: Path) -> None:
    """lm_eval 0.4.13, api/task.py, ConfigurableTask.process_results: argmax of lls, lls / characters and lls / bytes."""
    model: Any = Drawn(seed)
    found = {score.name: score for score in MultipleChoice(path=written(tmp_path, *QUESTIONS)).evaluate(model, tmp_path, seed=1)}
    expected: dict[str, list[bool]] = {"accuracy": [], "accuracy_per_character": [], "accuracy_per_byte": []}
    gold = {
        "Is there soup?": (1, QUESTIONS[0]["choices"]),
        "Größe?": (0, QUESTIONS[1]["choices"]),
        "x": (1, ["u", "vvv"]),
        "y": (1, ["aa", "b"]),
    }
    for question, (right, choices) in gold.items():
        lls = -np.array([one.nats for one in Drawn(seed).likelihoods([(question, f" {choice}") for choice in choices])])
        characters = np.array([float(len(choice)) for choice in choices])
        octets = np.array([float(len(choice.encode("utf-8"))) for choice in choices])
        for name, by in zip(expected, (1, characters, octets), strict=True):
            expected[name].append(np.argmax(lls / by) == right)
    for name, hits in expected.items():
        assert (found[name].value, found[name].count) == (np.mean(hits), 4), name
    assert len((tmp_path / "choices.jsonl").read_text().splitlines()) == 4


def test_what_is_asked(tmp_path: Path) -> None:
    model: Any = Drawn(0)
    file = written(tmp_path, *QUESTIONS)
    MultipleChoice(path=file, template="Q: {question}\nA:", questions=1).evaluate(model, tmp_path, seed=1)
    assert model.asked == [("Q: Is there soup?\nA:", " Yes"), ("Q: Is there soup?\nA:", " No, there is none at all")]
    before = MultipleChoice(path=file).fingerprint()
    file.write_text(file.read_text() + "\n")
    assert MultipleChoice(path=file).fingerprint() != before


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"choices": ["a", "b"], "answer": 0}, "no question"),
        ({"question": "q", "choices": ["a"], "answer": 0}, "choices are no list of two"),
        ({"question": "q", "choices": ["a", "b"], "answer": 2}, "none of its 2 choices"),
        ({"question": "q", "choices": ["a", "b"], "answer": "C"}, "answer 'C' is none of its 2 choices"),
        ({"question": "q", "choices": ["a", "b"]}, "none of its 2 choices"),
        ({"question": "q", "choices": ["a", "b"], "answer": True}, "none of its 2 choices"),
        (["q"], "no question"),
    ],
)
def test_a_line_that_is_wrong_is_named(line: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match=rf"q\.jsonl:2: .*{why}"):
        MultipleChoice(path=written(tmp_path, QUESTIONS[0], line)).read()


def test_answers_in_each_form() -> None:
    for answer, place in ((1, 1), ("B", 1), ("no", 1), ("yes", 0)):
        assert Question.of({"query": "q", "choices": ["yes", "no"], "answer": answer}).answer == place
    with pytest.raises(ModelwrightError, match="cannot read the questions"):
        MultipleChoice(path=Path("/nowhere")).read()
    with pytest.raises(ValueError, match=r"it has \{question\} in it"):
        MultipleChoice(path=Path("x"), template="none")


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"question": "q",\n')
    with pytest.raises(ModelwrightError, match=r"bad\.jsonl:1: expected a question as a line of JSON \(.* at character 18\)"):
        MultipleChoice(path=file).read()
