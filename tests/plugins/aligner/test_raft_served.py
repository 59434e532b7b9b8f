"""Rejection sampling of a server's replies: each asked for once, the same in every layout, and learned."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import on_policy
import pytest
from fake_vllm import serving
from on_policy import Case

from modelwright_plugins.aligner.raft import RAFT
from modelwright_plugins.conformance.ranks import on_ranks

pytestmark = pytest.mark.slow


def says(asked: dict[str, Any]) -> tuple[str, str]:
    text = f"{'zyx'[asked['seed'] % 3]}{asked['messages'][-1]['content'][:2]}{asked['seed'] % 100}"
    return (text, "stop") if asked["seed"] % 4 else (text + "+", "length")


def test_the_best_of_a_servers_replies_are_learned(tmp_path: Path) -> None:
    """On one rank, on two data ranks, with two ranks of a model, and stopped within a round."""
    steps, aligner = {"steps": 5}, RAFT(samples=3, minibatches=3)
    with serving(says) as (url, asked):
        plain = [Case(aligner, layout, steps, url=url, lr=1e-2) for layout in ({}, {"data": 2}, {"tensor": 2})]
        cases = [*plain, Case(aligner, stage={**steps, "checkpoint_every": 4}, first_steps=2, url=url, lr=1e-2)]
        ranks = on_ranks(on_policy.train, 2, tmp_path, groups=on_policy.groups(cases), cases=cases, where=str(tmp_path))
    once = Counter(json.dumps([each["messages"], each["seed"]]) for each in asked)
    assert len(once) == 2 * 3 * 4 * 3, "two rounds of three updates of four prompts with three replies"
    assert {*once.values()} == {len(cases)}, "each case asks once for each reply, on one rank, also when it goes on"
    one = (tmp_path / "out0/rollouts/1.jsonl").read_text()
    for number, case in enumerate(cases):
        assert (tmp_path / f"out{number}/rollouts/1.jsonl").read_text() == one
        for rank in range(case.ranks):
            for a, b in zip(ranks[0][0], ranks[rank][number], strict=True):
                assert b["loss"] == pytest.approx(a["loss"], rel=2e-5) and b["grad_norm"] == pytest.approx(a["grad_norm"], rel=2e-5)
    assert ranks[0][0][-1]["loss"] < ranks[0][0][0]["loss"] - 0.5, "it is learned"
    shown = [json.loads(line) for line in one.splitlines()]
    said = {(f"user: {each['messages'][-1]['content']}\na:", text): why for each in asked for text, why in [says(each)]}
    assert {*said} >= {(each["prompt"], each["reply"]) for each in shown} and len({each["finished"] for each in shown}) == 2
    assert all(each["finished"] is (said[each["prompt"], each["reply"]] == "stop") for each in shown)


def test_a_server_that_refuses_is_told_of_in_one_line_on_every_rank(tmp_path: Path) -> None:
    with serving(lambda _: ("no such model", ""), code=404) as (url, _):
        case = Case(RAFT(samples=2), {"data": 2}, {"steps": 1}, url=url)
        one, other = on_ranks(on_policy.refused, 2, tmp_path, groups=on_policy.groups([case]), case=case, where=str(tmp_path))
    assert one == other == f"{url}/chat/completions: 404 Not Found: no such model"
