"""A planted spike: training goes back to a checkpoint from before it, skips its batches, and says so."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.schedule.warmup import Constant
from modelwright_plugins.stability.spikes import ZScore

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from layouts import shards
from ranks import joined, on_ranks

STEPS, BATCH, LENGTH = 32, 8, 32
BAD = range(160, 176)  # sequences of updates 21 and 22


@dataclass(frozen=True, kw_only=True)
class Noisy(CausalLM):
    """The loss of some sequences is ten times what it should be."""

    bad: range = BAD

    def example(self, passage: Any) -> Any:
        found = super().example(passage)
        _, _, number, _ = passage.random.bit_generator.seed_seq.entropy
        return {**found, "loss_weight": np.full(1, 10.0 if number in self.bad else 1.0)}

    def loss(self, output: Any, inputs: dict[str, Any]) -> Any:
        return (output.float() * inputs["loss_weight"]).sum(), super().loss(output, inputs)[1]


@dataclass(frozen=True, kw_only=True)
class Until(Constant):
    """Interrupts a run, as a kill would, after step `until`."""

    until: int | None = None

    def factor(self, step: int, steps: int) -> float:
        if self.until is not None and step > self.until:
            raise InterruptedError
        return super().factor(step, steps)


def run(rank: int, jobs: list[dict[str, Any]], data: str) -> list[Any]:
    """{"lines", "results" or "error"} of each job."""
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Tokenizer, TokenShards
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.stage.train import Train

    class Hooks:
        registry = discover().registry

        def call(self, hook: str, **arguments: Any) -> None: ...

    found = []
    for number, job in enumerate(jobs):
        joined(rank, 2, number)
        out = Path(job["out"])
        if rank == 0:
            out.mkdir(exist_ok=True)
        layout = type(built_in()["parallel"])(data=2)
        parts = {**built_in(), "parallel": layout, "objective": Noisy(bad=job.get("bad", BAD)), "schedule": Until(until=job.get("until"))}
        parts |= {"stability": job["stability"], "tracker": {}}
        stage = Train(
            steps=STEPS, sequence_length=LENGTH, global_batch=BATCH, micro_batch=4, checkpoint_every=job.get("every", 5), keep_last=None
        )
        inputs = {TokenShards: TokenShards(Path(data)), Tokenizer: Tokenizer(Path(data))}
        told: dict[str, Any] = {}
        try:
            told["results"] = stage.run(Job(run=out, out=out, seed=5, parts=parts, inputs=inputs, hooks=Hooks(), config={}))  # type: ignore[arg-type]
        except ModelwrightError as e:
            told["error"] = str(e)
        except InterruptedError:
            pass
        if rank == 0:
            told["lines"] = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        found.append(told)
    return found


@pytest.mark.slow
def test_training_goes_back_and_skips(tmp_path: Path) -> None:
    data = shards(tmp_path / "shards")
    stability = ZScore(window=8, threshold=8.0, before=3, skip=0)
    jobs: list[dict[str, Any]] = [
        {"stability": stability, "out": str(tmp_path / "whole")},
        {"stability": stability, "out": str(tmp_path / "killed"), "until": 17},  # after both
        {"stability": stability, "out": str(tmp_path / "killed")},
        {"stability": replace(stability, rollbacks=1), "out": str(tmp_path / "once")},
        {"stability": replace(stability, skip=13), "out": str(tmp_path / "more")},
        {"stability": stability, "out": str(tmp_path / "none"), "every": None},
        {"stability": stability, "out": str(tmp_path / "clean"), "bad": range(0)},
    ]
    ranks = on_ranks(run, 2, tmp_path / "o", groups=len(jobs), jobs=jobs, data=str(data))
    whole, _, resumed, once, more, none, clean = ranks[0]
    # update 21 is a spike: back to 15, at least 3 before it, and on after its batch; there update 16 has the rest of what is bad
    first, second = whole["results"]["skipped"]
    assert (first["step"], first["back_to"], first["first"], first["sequences"]) == (21, 15, 120, 48)
    assert (second["step"], second["back_to"], second["first"], second["sequences"]) == (16, 10, 80, 96)
    assert "deviations above the mean" in first["why"]
    assert [line["step"] for line in whole["lines"]] == list(range(1, STEPS + 1))  # what was gone back over is no longer told
    assert whole["lines"][-1]["tokens"] == STEPS * BATCH * LENGTH  # skipped ones are not trained on
    assert [line["loss"] for line in whole["lines"][:10]] == [line["loss"] for line in clean["lines"][:10]]
    assert max(line["loss"] for line in whole["lines"]) < 6
    assert "skipped" not in clean["results"]
    assert [line["loss"] for line in resumed["lines"]] == [line["loss"] for line in whole["lines"]]  # to the last bit
    assert resumed["results"]["skipped"][-1]["sequences"] == 96
    assert "gone back 1 times, as often as stability.rollbacks allows" in once["error"]
    (skipped,) = more["results"]["skipped"]  # 13 batches from 15 on are over both bad ones
    assert (skipped["back_to"], skipped["first"], skipped["sequences"]) == (15, 120, 13 * BATCH)
    assert "no checkpoint is from before it" in none["error"]
    assert [told.get("results", {}).get("skipped") for told in ranks[1]] == [told.get("results", {}).get("skipped") for told in ranks[0]]
    assert np.isfinite(whole["results"]["loss"])
