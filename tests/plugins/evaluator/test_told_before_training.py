"""What would end an evaluation is told before anything is trained: by the stage's problems, which `plan` and `run` ask for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "source"))
from small_sources import schema_guided

from modelwright.errors import ModelwrightError
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.evaluator import Evaluator
from modelwright_plugins.evaluator._sgd_judged import turns
from modelwright_plugins.evaluator.multiple_choice import MultipleChoice
from modelwright_plugins.evaluator.pass_at_k import PassAtK
from modelwright_plugins.evaluator.questions import Questions
from modelwright_plugins.evaluator.sgd_dialogues import SGDDialogues
from modelwright_plugins.generator import Generator
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.generator.server import Server
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.stage.evaluate import Evaluate


def told(evaluator: Evaluator, generator: Generator | None = None, **stage: Any) -> list[str]:
    parts = {"kernel": Torch(), "attention": Native(), "generator": generator or Sampling(), "evaluator": {"it": evaluator}}
    return Evaluate(examples=True, **stage).problems(parts)


def test_a_file_that_is_missing_or_malformed(tmp_path: Path) -> None:
    questions = MultipleChoice(path=tmp_path / "q.jsonl")
    (line,) = told(questions)
    assert line.startswith(f"evaluator it: {tmp_path}/q.jsonl: cannot read the questions")
    (tmp_path / "q.jsonl").write_text('{"question": "Soup?", "choices": ["Yes"], "answer": 0}\n')
    (line,) = told(questions)
    assert line == f"evaluator it: {tmp_path}/q.jsonl:1: choices are no list of two texts or more"
    (tmp_path / "q.jsonl").write_text('{"question": "Soup?", "choices": ["Yes", "No"], "answer": 0}\n')
    assert told(questions) == []


def test_a_folder_without_dialogues_to_judge_with(tmp_path: Path) -> None:
    dialogues = SGDDialogues(path=tmp_path)
    assert "there is no dialogues_*.json" in told(dialogues)[0]
    (tmp_path / "dialogues_001.json").write_text("{")
    assert "dialogues_001.json: not JSON" in told(dialogues)[0]
    (tmp_path / "dialogues_001.json").write_text('[{"dialogue_id": "x"}]')
    assert "held out (1 malformed records)" in told(dialogues)[0]
    with pytest.raises(ModelwrightError, match="there is no dialogue"):
        turns(tmp_path, None)
    (tmp_path / "dialogues_001.json").write_text(json.dumps([schema_guided(number) for number in range(20)]))
    assert told(dialogues) == []


def test_texts_that_a_server_should_go_on_with() -> None:
    """Also where no held-out text is asked for."""
    server, here = Server(url="http://localhost:1/v1", model="x"), Path(__file__).parent
    sums, functions = {"path": here / "sums.jsonl"}, {"path": here / "functions.jsonl"}
    for evaluator in (Questions(**sums), PassAtK(**functions)):
        assert told(evaluator) == []
        (line,) = told(evaluator, server, text=False, prompts=[])
        assert line.endswith("a server answers conversations; evaluator.it.chat=true")
    for evaluator in (Questions(**sums, chat=True), PassAtK(**functions, chat=True)):
        assert told(evaluator, server, text=False, prompts=[]) == []
    assert "evaluate.prompts=[]" in told(Questions(**sums, chat=True), server, text=False)[0]
