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
from modelwright_plugins.evaluator.classification import Classification
from modelwright_plugins.evaluator.multiple_choice import MultipleChoice
from modelwright_plugins.evaluator.pass_at_k import PassAtK
from modelwright_plugins.evaluator.questions import Questions
from modelwright_plugins.evaluator.rewards import Rewards
from modelwright_plugins.evaluator.sgd_dialogues import SGDDialogues
from modelwright_plugins.generator import Generator
from modelwright_plugins.generator.beam import Beam
from modelwright_plugins.generator.contrastive_search import ContrastiveSearch
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.generator.server import Server
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.stage.evaluate import Evaluate


def told(evaluator: Evaluator, generator: Generator | None = None, layout: dict[str, int] | None = None, **stage: Any) -> list[str]:
    parts: dict[str, Any] = {"kernel": Torch(), "attention": Native(), "parallel": Megatron(**(layout or {}))}
    return Evaluate(examples=True, **stage).problems(parts | {"generator": generator or Sampling(), "evaluator": {"it": evaluator}})


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


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (Sampling(temperature=0), "generator sampling as it is set draws the same each time; {}, or generator.temperature above 0"),
        (Sampling(top_k=1), "generator sampling as it is set draws the same each time; {}, or generator.top_k above 1"),
        (Beam(), "generator beam as it is set draws the same each time; {}, or generator=sampling"),
        (ContrastiveSearch(), "generator contrastive_search as it is set draws the same each time; {}, or generator=sampling"),
        (Sampling(), None),
    ],
)
def test_several_replies_that_can_not_differ(generator: Generator, said: str | None) -> None:
    here = Path(__file__).parent
    for evaluator, setting, once in (
        (Questions(path=here / "sums.jsonl", votes=3), "votes=3", "votes=1"),
        (PassAtK(path=here / "functions.jsonl"), "samples=10", "samples=1 evaluator.it.k=[1]"),
        (Rewards(rewards={"length": {}}, samples=2), "samples=2", "samples=1"),
    ):
        assert told(evaluator, generator) == (
            [f"evaluator it: evaluator.it.{setting}, but {said.format(f'evaluator.it.{once}')}"] if said else []
        )
    for alone in (Questions(path=here / "sums.jsonl"), PassAtK(path=here / "functions.jsonl", samples=1, k=[1])):
        assert told(alone, generator) == []


def test_a_batch_that_data_ranks_can_not_share(tmp_path: Path) -> None:
    """Of 8 ranks: context ranks share texts out too, so that 4 have each their part of a batch of 30, and 8 of one of 3."""
    (file := tmp_path / "rows.tsv").write_text("sentence\tlabel\na\t0\nb\t1\n")
    for layout, batch, best in (
        ({"data": 2, "context": 2, "tensor": 2}, 30, "4 data ranks; nearest that can: 32"),
        ({"data": 8}, 3, "8 data ranks; nearest that can: 8"),
        ({"data": 2, "pipeline": 4}, 30, None),
    ):
        tuned = Classification(train=file, test=file, tune=True, batch=batch)
        assert told(tuned, layout=layout) == (
            [f"evaluator it: evaluator.it.batch={batch} texts can't be shared out to {best}"] if best else []
        )
        assert told(Classification(train=file, test=file, batch=batch), layout=layout) == []
