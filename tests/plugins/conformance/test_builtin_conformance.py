"""Every built-in component holds what its kind promises."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "objective"))
sys.path.insert(0, str(Path(__file__).parents[1] / "source"))
sys.path.insert(0, str(Path(__file__).parents[1] / "filter"))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluator"))
sys.path.insert(0, str(Path(__file__).parents[1] / "reward"))
from fake_judge import judging
from reward_models import drawn
from small_evaluations import small_evaluations
from small_filters import small_filters
from small_sources import small_sources
from teacher import made

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.testing import assert_conforms

pytestmark = pytest.mark.slow

REGISTRY = discover().registry
KINDS = REGISTRY.names("conformance")
ENTRIES = [
    f"{e.kind}/{e.name}" for e in REGISTRY.entries.values() if e.plugin == "builtin" and (e.kind in KINDS or e.kind == "conformance")
]
RANKS = ("architecture", "objective", "optimizer", "parallel", "precision", "kernel", "attention")  # what is trained on ranks
SLOW = ("source/python_library", "filter/gopher_quality", "filter/gopher_repetition", "filter/c4_quality", "stage/train", "tracker/wandb")


@pytest.fixture
def needed(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What has no default, by component."""
    (tmp_path / "a.txt").write_text("Grüße\n\nund mehr\n" * 50)
    (tmp_path / "b.txt").write_text("The mill turns.\n")
    (tmp_path / "q.jsonl").write_text('{"question": "Soup?", "choices": ["Yes", "No"], "answer": 0}\n')
    (tmp_path / "t.jsonl").write_text('{"task_id": "t", "prompt": "def f(x):\\n", "entry_point": "f", "test": "assert f(1) == 1"}\n')
    (tmp_path / "r.jsonl").write_text('{"prompt": "Soup?", "reply": "Yes."}\n{"prompt": "No soup?", "reply": "No."}\n')
    (tmp_path / "a.jsonl").write_text('{"text": "one", "id": "x", "source": {"n": 1}}\n{"text": "two"}\n')
    return {
        "source/text": {"paths": [str(tmp_path)], "piece_bytes": 30},
        "source/jsonl": {"paths": [str(tmp_path / "a.jsonl")]},
        "evaluator/order_dialogues": {"dialogues": 3, "similarity": False},
        "evaluator/rewards": {"rewards": {"exact_answer": {}, "length": {"most": 9}}, "samples": 2},
        "reward/contains": {"words": ["please"], "avoid": ["sorry"]},
        "reward/regex": {"pattern": ".*72"},
        "generator/contrastive_decoding": {"amateur": str(tmp_path / "amateur")},
        "reward/model": {"checkpoint": str(tmp_path / "reward_model")},
        "evaluator/multiple_choice": {"path": str(tmp_path / "q.jsonl")},
        **small_evaluations(tmp_path),
        "evaluator/pass_at_k": {"path": str(tmp_path / "t.jsonl"), "samples": 2, "k": [1]},
        "evaluator/questions": {"path": str(tmp_path / "q.jsonl"), "votes": 2},
        "evaluator/pairwise_judge": {"replies": {"a": str(tmp_path / "r.jsonl"), "b": str(tmp_path / "r.jsonl")}},
        "objective/multitask": {"weights": {"causal_lm": 0.7, "fill_in_the_middle": 0.3}},
        "objective/distillation": {"teacher": str(tmp_path / "teacher")},
        "mixture/fixed": {"weights": {"general": 3, "code": 1, "math": 0}},
        "mixture/doremi": {"steps": 3, "sequence_length": 32, "global_batch": 4, "micro_batch": 2},
        "mixture/phases": {"phases": {"unimax": {"share": 3}, "end": {"share": 1, "name": "temperature"}}},
    }


@pytest.mark.parametrize("what", [pytest.param(e, marks=pytest.mark.slow if e.startswith(RANKS) or e in SLOW else []) for e in ENTRIES])
def test_a_built_in_component_conforms(what: str, needed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    if what == "objective/distillation":
        made(tmp_path)
    if what == "reward/model":
        drawn(tmp_path)
    if what.startswith("source/") or what == "evaluator/sgd_dialogues":
        needed |= small_sources(tmp_path)
    if what.startswith("filter/"):
        needed |= small_filters(tmp_path)
    with warnings.catch_warnings(), judging() as (server, _):
        needed |= {"reward/judge": {"server": server}, "generator/server": server}
        warnings.filterwarnings("ignore", ".*was not run: kernel=transformer_engine is not installed")
        assert_conforms(what, **needed.get(what, {}))


def test_every_kind_that_a_recipe_picks_has_a_conformance_with_an_example() -> None:
    for kind in [*(k for k, about in REGISTRY.picked.items() if about.plugin == "builtin"), "stage", "command"]:
        assert REGISTRY.load("conformance", kind).example, kind


def test_what_does_not_exist_is_told() -> None:
    with pytest.raises(ModelwrightError, match="did you mean 'cosine'"):
        assert_conforms("schedule/cosin")
    with pytest.raises(ModelwrightError, match=r"schedule/cosine\.floo.*did you mean 'floor'"):
        assert_conforms("schedule/cosine", floo=1)
