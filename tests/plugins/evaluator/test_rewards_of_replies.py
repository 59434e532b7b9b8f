"""Rewards of replies to held-out prompts: as each reply's own text has them, with intervals over prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.judge import judge
from modelwright_plugins.evaluator.rewards import Rewards


def test_scores_are_means_over_replies(tmp_path: Path) -> None:
    model = judge("prompt", tmp_path / "model", first=True)
    settings = {"length": {"unit": "characters", "per_unit": -0.1}, "said": {"name": "regex", "pattern": ".*e", "weight": 3.0}}
    evaluator = Rewards(rewards=settings, samples=2, prompts=5)
    (tmp_path / "out").mkdir()
    found = {score.name: score for score in evaluator.evaluate(model, tmp_path / "out", seed=1)}
    lines = [json.loads(line) for line in (tmp_path / "out" / "replies.jsonl").read_text().splitlines()]
    assert len(lines) == 10 and [line["id"] for line in lines] == [f"e{n // 2}" for n in range(10)]
    assert len({line["reply"] for line in lines}) > 5  # each is drawn by itself
    for name in ("length", "said"):
        assert found[name].value == pytest.approx(sum(line["rewards"][name] for line in lines) / 10) and found[name].count == 10
    assert [line["rewards"]["length"] for line in lines] == pytest.approx([-0.1 * len(line["reply"]) for line in lines])
    assert found["reward"].value == pytest.approx(found["length"].value + 3 * found["said"].value)
    assert found["length"].low < found["length"].value < found["length"].high


def test_what_it_can_not_score_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rewards is empty"):
        Rewards(rewards={})
    with pytest.raises(ValueError, match=r"rewards.model asks a reward model"):
        Rewards(rewards={"model": {"checkpoint": str(tmp_path)}})
    with pytest.raises(ValueError, match=r"no reward named 'exact_anser'; did you mean 'exact_answer'"):
        Rewards(rewards={"exact_anser": {}})
    model = judge("prompt", tmp_path / "model", first=True)
    with pytest.raises(ModelwrightError, match=r"reward order_reply can't score replies to \d+ of \d+ prompts: e0: its answer is none of"):
        Rewards(rewards={"order_reply": {}}).evaluate(model, tmp_path, seed=1)


def test_replies_are_kept_where_scoring_them_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(*_: Any) -> None:
        raise ModelwrightError("the server is gone")

    monkeypatch.setattr(Rewards, "_scored", scored)
    with pytest.raises(ModelwrightError, match="gone"):
        Rewards(rewards={"length": {}}, prompts=3).evaluate(judge("prompt", tmp_path / "model", first=True), tmp_path, seed=1)
    lines = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["e0", "e1", "e2"] and any(line["reply"] for line in lines)  # one may be empty


def test_answers_of_prompts_that_are_not_asked_are_not_wanted(tmp_path: Path) -> None:
    """The last prompt held out has no answer; the first five are asked."""
    model = judge("prompt", tmp_path / "model", first=True)
    assert model.examples is not None
    file = model.examples.folder / "held_out.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    del lines[-1]["answer"]
    file.write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "out").mkdir()
    evaluator = Rewards(rewards={"exact_answer": {}}, prompts=len(lines) - 1)
    assert evaluator.evaluate(model, tmp_path / "out", seed=1)[0].count == len(lines) - 1
    with pytest.raises(ModelwrightError, match="1 of 6 prompts: e5"):
        Rewards(rewards={"exact_answer": {}}, prompts=None).evaluate(model, tmp_path, seed=1)
