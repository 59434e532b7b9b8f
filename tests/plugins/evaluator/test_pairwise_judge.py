"""A judge that prefers, and one that sees positions only; strengths of what it said, by hand and by the formula."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.judge import judge
from modelwright_plugins.evaluator import pairwise_judge
from modelwright_plugins.evaluator._verdicts import Replied
from modelwright_plugins.evaluator.pairwise import Comparison, elo, win_rates
from modelwright_plugins.evaluator.pairwise_judge import PairwiseJudge
from modelwright_plugins.generator import Reply
from modelwright_plugins.generator.server import Server

PROMPTS = [f"Question {number}?" for number in range(6)]


class Judging:
    """A model that judges by `verdict` of the two replies, and answers everything else in a word."""

    first = True

    def __init__(self, verdict: Any) -> None:
        self.verdict, self.asked, self.tools = verdict, list[str](), list[Any]()

    def reply(self, conversations: list[Any], *, tools: Any = ()) -> list[str]:
        self.tools += tools
        texts = [messages[-1]["content"] for messages in conversations]
        self.asked += texts
        return [self._said(text) for text in texts]

    def _said(self, text: str) -> str:
        if "Assistant A's Answer" not in text:
            return "soup"
        one, other = (text.split(f"Assistant {letter}'s Answer]\n")[1].split("\n[The End")[0] for letter in "AB")
        return str(self.verdict(one, other))


def longer(one: str, other: str) -> str:
    return "Not [[C]]. [[A]]" if len(one) > len(other) else "[[B]]" if len(one) < len(other) else "[[C]]"


def files(folder: Path, **replies: list[str]) -> dict[str, Path]:
    for name, said in replies.items():
        lines = [json.dumps({"prompt": prompt, "reply": reply}) for prompt, reply in zip(PROMPTS, said, strict=False)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return {name: folder / f"{name}.jsonl" for name in replies}


def scores(judge: PairwiseJudge, model: Any, out: Path) -> dict[str, float]:
    return {score.name: score.value for score in judge.evaluate(model, out, seed=1)}


def test_a_judge_that_prefers(tmp_path: Path) -> None:
    """a wins 4 of 6, loses one, and ties one; 400 log10 of its odds, with a draw each against an average player."""
    said = {"a": ["long", "long", "long", "long", "x", "x"], "b": ["x", "x", "x", "x", "long", "y"]}
    judge, model = PairwiseJudge(replies=files(tmp_path, **said)), Judging(longer)
    assert judge.problems() == []
    found = scores(judge, model, tmp_path)
    assert found["win_rate/a"] == pytest.approx(4.5 / 6) and found["win_rate/b"] == pytest.approx(1.5 / 6)
    gap = found["elo/a"] - found["elo/b"]
    assert found["elo/a"] + found["elo/b"] == pytest.approx(2000)
    s = gap / 2 * math.log(10) / 400  # at the likeliest strengths s and -s the slope of the likelihood is nothing
    assert 4.5 - 6 / (1 + math.exp(-2 * s)) + 0.5 - 1 / (1 + math.exp(-s)) == pytest.approx(0, abs=1e-6)
    assert (found["consistent"], found["first_twice"], found["verdicts"]) == (1, 0, 1)
    assert len(model.asked) == 12
    lines = [json.loads(line) for line in (tmp_path / "comparisons.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [1, 1, 1, 1, 0, 0.5] and lines[0]["replies"] == ["long", "x"]


def test_positions_win_nothing(tmp_path: Path) -> None:
    """One that always prefers what it reads first says nothing of the replies; neither does one that says nothing."""
    replies = files(tmp_path, a=["x"] * 6, b=["{prompt} {a} {b}"] * 6)
    found = scores(PairwiseJudge(replies=replies), Judging(lambda *_: "[[A]]"), tmp_path)
    assert found["win_rate/a"] == 0.5 and found["elo/a"] == pytest.approx(1000)
    assert (found["consistent"], found["first_twice"], found["verdicts"]) == (0, 1, 1)
    found = scores(PairwiseJudge(replies=replies), Judging(lambda *_: "hm"), tmp_path)
    assert (found["consistent"], found["first_twice"], found["verdicts"], found["win_rate/a"]) == (0, 0, 0, 0.5)
    found = scores(PairwiseJudge(replies=replies, prompts=2), Judging(lambda one, other: "[[A]]" if one == "x" else "hm"), tmp_path)
    assert found["win_rate/a"] == 0.5 and found["verdicts"] == 0.5 and found["consistent"] == 0  # a win and a tie are a tie


def test_the_model_plays_and_a_server_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judging, asked = Judging(longer), list[Any]()

    def said(self: Server, conversations: Any, *, seeds: Any) -> list[Reply]:
        asked.extend(zip(conversations, seeds, strict=True))
        return [Reply(one, True) for one in judging.reply([each["messages"] for each in conversations])]

    monkeypatch.setattr(Server, "said", said)
    model = Judging(None)
    server = {"url": "http://localhost:1/v1", "model": "x"}
    component = PairwiseJudge(replies=files(tmp_path, a=["x"] * 6, b=["very long"] * 6), judge=server, plays=True)
    assert component.judge["temperature"] == 1  # told, as it decides what is found
    found = scores(component, model, tmp_path)
    assert model.asked == PROMPTS and len(asked) == 2 * 3 * 6
    assert len({seed for _, seed in asked}) == 36
    assert [found[f"win_rate/{name}"] for name in ("b", "model", "a")] == [1, 0.5, 0]
    assert found["elo/b"] > found["elo/model"] > found["elo/a"]


def test_the_model_plays_with_the_tools_that_were_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any of the files; prompts are the same with and without them. What the model is asked has them, and so has its own file."""
    monkeypatch.setattr(Server, "said", lambda self, conversations, *, seeds: [Reply("[[C]]", True) for _ in conversations])
    played, clock = files(tmp_path, a=["x"] * 6, b=["y"] * 6), {"type": "function", "function": {"name": "clock"}}
    lines = played["b"].read_text().splitlines()
    played["b"].write_text("\n".join([json.dumps(json.loads(lines[0]) | {"tools": [clock]}), *lines[1:]]))
    model, server = Judging(None), {"url": "http://localhost:1/v1", "model": "x"}
    scores(PairwiseJudge(replies=played, judge=server, plays=True), model, tmp_path)
    assert model.tools == [(clock,), (), (), (), (), ()]
    written = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert [line.get("tools") for line in written] == [[clock], None, None, None, None, None]
    asked = judge("", tmp_path / "model", first=True)
    given = list[Any]()
    monkeypatch.setattr(asked, "answered", lambda conversations, prompts, generator: given.extend(conversations) or [])
    asked.reply([[{"role": "user", "content": "When?"}]] * 2, tools=[[clock], []])
    assert [one.get("tools") for one in given] == [[clock], None]
    with pytest.raises(ValueError, match=r"tools is 'clock'; expected a list"):
        Replied.of({"prompt": "x", "reply": "y", "tools": "clock"})


def test_what_a_judge_said_is_kept_where_it_fails_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So are the model's replies, as a file that another evaluation takes. Where it does not fail, comparisons.jsonl has all of it."""
    judging, fails = Judging(longer), [False, False, True]

    def said(self: Server, conversations: Any, *, seeds: Any) -> list[Reply]:
        if fails and fails.pop(0):
            raise ModelwrightError("the server is gone")
        return [Reply(one, True) for one in judging.reply([each["messages"] for each in conversations])]

    monkeypatch.setattr(Server, "said", said)
    monkeypatch.setattr(pairwise_judge, "AT_ONCE", 5)
    server = {"url": "http://localhost:1/v1", "model": "x"}
    component = PairwiseJudge(replies=files(tmp_path, a=["x"] * 6), judge=server, plays=True)
    with pytest.raises(ModelwrightError, match="gone"):
        component.evaluate(Judging(None), tmp_path, seed=1)  # type: ignore[arg-type]
    kept = [json.loads(line) for line in (tmp_path / "judge.jsonl").read_text().splitlines()]
    assert len(kept) == 10 and [line["asked"] for line in kept] == judging.asked
    assert {line["said"] for line in kept} == {"[[B]]", "Not [[C]]. [[A]]"}
    again = PairwiseJudge(replies=files(tmp_path, a=["x"] * 6) | {"b": tmp_path / "replies.jsonl"}, judge=server)
    assert scores(again, Judging(None), tmp_path)["win_rate/b"] == 1 and not (tmp_path / "judge.jsonl").exists()
    assert len((tmp_path / "comparisons.jsonl").read_text().splitlines()) == 6


def test_intervals_are_of_prompts() -> None:
    """Ten comparisons of each prompt that all end alike are worth one: the bootstrap of prompts, done the slow way."""
    rng = np.random.default_rng(3)
    once = [Comparison("a", "b", float(rng.random() < 0.6)) for _ in range(40)]
    tenfold, groups = [one for one in once for _ in range(10)], [number for number in range(40) for _ in range(10)]
    for function in (win_rates, elo):
        plain, ten, grouped = (
            {score.name: score for score in found} for found in (function(once), function(tenfold), function(tenfold, groups=groups))
        )
        for name, score in plain.items():
            wide = score.high - score.low
            assert grouped[name].value == pytest.approx(score.value)
            assert grouped[name].high - grouped[name].low == pytest.approx(wide, rel=0.12)
            assert ten[name].high - ten[name].low < 0.5 * wide
    won = np.array([one.score for one in once])
    drawn = [400 * math.log10(share / (1 - share)) / 2 for share in (rng.choice(won, 40).mean() for _ in range(4000))]
    low, high = np.quantile(drawn, [0.025, 0.975]) + 1000
    (a,) = [score for score in elo(tenfold, groups=groups) if score.name == "elo/a"]
    assert (a.low, a.high) == (pytest.approx(low, abs=8), pytest.approx(high, abs=8))


def test_what_is_wrong_with_a_comparison_is_told(tmp_path: Path) -> None:
    replies = files(tmp_path, a=["x"], b=["y"])
    (tmp_path / "b.jsonl").write_text('{"prompt": "another", "reply": "y"}\n{"messages": [{"content": "1"}]}\n')
    assert "b.jsonl:2: no reply" in PairwiseJudge(replies=replies).problems()[0]
    for content in ("null", "[1]", 'null, "tool_calls": []'):
        (tmp_path / "b.jsonl").write_text(f'{{"messages": [{{"content": {content}}}], "reply": "y"}}')
        assert "b.jsonl:1: content is" in PairwiseJudge(replies=replies).problems()[0]
    calls = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}]
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": calls, "reply": "y"}))
    (one,) = PairwiseJudge(replies={"a": tmp_path / "b.jsonl", "b": tmp_path / "b.jsonl"}).read()["a"]
    assert one.prompt == 'user: ?\n\nassistant: {"name": "f"}'
    (tmp_path / "b.jsonl").write_text('{"messages": [{"role": "user", "content": "another"}], "reply": "y"}\n')
    assert "there is no prompt that all of them reply to" in PairwiseJudge(replies=replies).problems()[0]
    for fields, why in (
        ({"replies": {"a": Path("a")}}, "two are compared"),
        ({"replies": {"a": Path("a"), "b/c": Path("b")}}, "a player's name"),
        ({"replies": replies, "plays": True}, "does not judge its own"),
        ({"replies": replies, "judge": {"name": "sampling"}}, "asks a model elsewhere"),
        ({"replies": replies, "judge": {"url": "http://x/v1", "model": "x", "temprature": 0}}, "temperature"),
        ({"replies": {"model": Path("a")}, "plays": True}, "not that of another"),
        ({"replies": replies, "instruction": "{a}"}, "lacks"),
        ({"replies": replies, "prompts": 0}, "prompts is 0"),
    ):
        with pytest.raises(ValueError, match=why):
            PairwiseJudge(**fields)  # type: ignore[arg-type]
