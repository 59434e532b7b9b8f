"""The same replies, losses and gradients in every layout; a training that was stopped within a round goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import on_policy
import pytest
from on_policy import Case

from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.aligner.grpo import GRPO
from modelwright_plugins.aligner.ppo import PPO
from modelwright_plugins.aligner.raft import RAFT
from modelwright_plugins.aligner.rloo import RLOO
from modelwright_plugins.conformance.ranks import on_ranks

pytestmark = pytest.mark.slow
LAYOUTS = ({}, {"tensor": 2, "pipeline": 2, "sequence": True}, {"data": 2}, {"context": 2})
STEPS = {"steps": 3}


def run(cases: list[Case], folder: Path) -> list[list[list[dict[str, float]]]]:
    """[case][rank][step]"""
    most, what = max(case.ranks for case in cases), {"cases": cases, "where": str(folder)}
    ranks = on_ranks(on_policy.train, most, folder, groups=on_policy.groups(cases), **what)
    return [[rank[place] for rank in ranks if rank[place] is not None] for place in range(len(cases))]


def same(one: list[dict[str, float]], other: list[dict[str, float]], within: float) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert {*a} == {*b}
        for name in {*a} - {"tokens_per_second"}:
            assert b[name] == pytest.approx(a[name], rel=within, abs=within), (name, a["step"])


def replies(folder: Path, case: int, step: int = 1) -> list[str]:
    return (folder / f"out{case}" / "rollouts" / f"{step}.jsonl").read_text().splitlines()


def tokens(folder: Path, case: int, step: int = 1) -> int:
    """That a model reads of a round's replies with their prompts: all but the last of each."""
    with np.load(folder / f"out{case}" / "rollouts" / f"{step}.npz") as found:
        return int((found["lengths"] - 1).sum())


def test_layouts(tmp_path: Path) -> None:
    """Two updates of a round, and one of the next, whose replies are drawn with other weights."""
    aligners = [GRPO(samples=3, beta=0.1, epochs=2), PPO(samples=2, epochs=2, target=1.0, horizon=20)]
    cases = [Case(aligner, layout, STEPS, parts=isinstance(aligner, PPO)) for aligner in aligners for layout in LAYOUTS]
    found = run(cases, tmp_path)
    for first in range(0, len(cases), len(LAYOUTS)):
        one = found[first][0]
        assert one[0]["grad_norm"] > 0.01 and one[0]["entropy"] > 0.5
        assert one[1]["reward"] == one[0]["reward"] and one[2]["reward"] != one[1]["reward"]
        assert [step["tokens"] for step in one[:2]] == [tokens(tmp_path, first), 2 * tokens(tmp_path, first)]
        assert one[2]["tokens"] - one[1]["tokens"] == tokens(tmp_path, first, 3)
        for place in range(first + 1, first + len(LAYOUTS)):
            assert replies(tmp_path, place) == replies(tmp_path, first)
            assert replies(tmp_path, place, 3) == replies(tmp_path, first, 3)
            for rank in found[place]:
                same(one, rank, 2e-5)
    assert found[4][0][2]["beta"] < 0.05  # it is below its target


def test_the_others_on_four_ranks(tmp_path: Path) -> None:
    aligners = [
        RLOO(samples=3, beta=0.1),
        RAFT(samples=3),
        GRPO(samples=3, kind="dapo"),
        GRPO(samples=3, kind="dr_grpo", importance="sequence"),
    ]
    cases = [Case(aligner, layout, {"steps": 2}) for aligner in aligners for layout in LAYOUTS[:2]]
    found = run(cases, tmp_path)
    for first in range(0, len(cases), 2):
        assert replies(tmp_path, first) == replies(tmp_path, first + 1) and found[first][0][0]["grad_norm"] > 0.001
        for rank in found[first + 1]:
            same(found[first][0], rank, 2e-5)


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Stopped after the second of a round's three updates. The round is read again, and not drawn with other weights."""
    aligners = [PPO(samples=2, epochs=3, target=1.0, horizon=20), RLOO(samples=3, minibatches=3)]
    cases = [Case(aligner, first_steps=stop, stage={"steps": 5, "checkpoint_every": 4}) for aligner in aligners for stop in (0, 2)]
    found = run(cases, tmp_path)
    for (whole,), (stopped,) in (found[0:2], found[2:4]):
        same(whole, stopped, 0)
    for first in (0, 2):
        assert replies(tmp_path, first, 4) == replies(tmp_path, first + 1, 4)
        with np.load(tmp_path / f"out{first}/rollouts/4.npz") as one, np.load(tmp_path / f"out{first + 1}/rollouts/4.npz") as other:
            assert all(np.array_equal(one[name], other[name]) for name in one.files)


def test_each_aligner_trains_also_with_an_adapter_and_other_micro_batches(tmp_path: Path) -> None:
    """The divergence from the first weights is 0 at first, and what was learned raises the reward."""
    lora = LoRA(rank=4, targets=["qkv", "proj", "fc1", "fc2"])
    many = {"steps": 12, "global_batch": 8, "micro_batch": 4}
    cases = [Case(RLOO(samples=4), stage=many, adapter=lora, lr=1e-2), Case(RAFT(samples=4), stage=many, lr=1e-2)]
    cases += [Case(GRPO(samples=3), stage={"steps": 1, "micro_batch": size}) for size in (1, 4)]
    (rloo,), (raft,), (one,), (other,) = run(cases, tmp_path)
    assert abs(rloo[0]["kl"]) < 1e-6 and rloo[-1]["kl"] > 0.001
    for each in (rloo, raft):
        assert sum(step["reward"] for step in each[-3:]) > sum(step["reward"] for step in each[:3]) + 1
    same(one, other, 1e-5)
    assert one[0]["tokens"] == tokens(tmp_path, 2) < on_policy.LENGTH * 3 * 4
    assert 0 < raft[11]["tokens"] - raft[10]["tokens"] < tokens(tmp_path, 1, 12) / 2  # it learns from one in four
    shown = [json.loads(line) for line in replies(tmp_path, 1)]
    assert raft[0]["reward"] == pytest.approx(sum(each["reward"] for each in shown) / len(shown), rel=1e-5)
    best = [max(each["reward"] for each in shown[n : n + 4]) for n in range(0, len(shown), 4)]
    assert raft[0]["reward/kept"] == pytest.approx(sum(best) / len(best), rel=1e-5) and raft[0]["reward"] < raft[0]["reward/kept"]
