"""The train stage as a run sees it: metrics, checkpoints, resuming, starting from weights."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint

from modelwright.errors import ModelwrightError
from modelwright_plugins.schedule.warmup import Linear

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from layouts import shards
from ranks import joined, on_ranks

STEPS = 8
SAVED = 4  # the step of the first checkpoint


class Interrupted(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Until(Linear):
    """A schedule that interrupts a run on every rank, as a kill would, after step `until`."""

    until: int | None = None

    def factor(self, step: int, steps: int) -> float:
        if self.until is not None and step > self.until:
            raise Interrupted
        return super().factor(step, steps)


class Hooks:
    """Hooks that remember."""

    def __init__(self) -> None:
        from modelwright.hooks import discover

        self.registry, self.called = discover().registry, []  # type: ignore[var-annotated]

    def call(self, hook: str, **arguments: Any) -> None:
        self.called.append((hook, arguments["step"]))


def run(rank: int, jobs: list[dict[str, Any]], data: str) -> list[Any]:
    """The lines of metrics.jsonl after each job; a job may copy another's folder first, and be interrupted."""
    from modelwright.component import Job
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.artifacts import Checkpoint, Tokenizer, TokenShards
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16, FP16, FP32
    from modelwright_plugins.stage.train import Train
    from modelwright_plugins.tracker.jsonl import Jsonl

    found: list[Any] = []
    scaled = FP16(initial_scale=2.0**19, hysteresis=1, growth_interval=5, backoff=0.125)  # some updates overflow, and the scale grows
    for number, job in enumerate(jobs):
        out, layout = Path(job["out"]), Megatron(**job.get("layout", {}))
        ranks = layout.ranks(None)
        if rank == 0:
            if "copy" in job:
                shutil.copytree(job["copy"], out)
            out.mkdir(parents=True, exist_ok=True)
        if rank >= ranks:
            found.append(None)
            continue
        joined(rank, ranks, job.get("group", number))
        parts = {
            "architecture": CausalDecoder(layers=4, width=32, heads=4, kv_heads=2, qk_norm=True, dropout=job.get("dropout", 0.0)),
            "objective": CausalLM(),
            "optimizer": {"muon": Muon(), "adamw": AdamW(), "still": AdamW(lr=0.0)}[job.get("optimizer", "muon")],
            "schedule": Until(warmup=2, until=job.get("until")),
            "parallel": layout,
            "precision": {"fp32": FP32(), "bf16": BF16(), "fp16": scaled}[job.get("precision", "fp32")],
            "kernel": Torch(),
            "attention": Native(),
            "tracker": {"jsonl": Jsonl()},
        }
        stage = Train(
            steps=job.get("steps", STEPS), sequence_length=32, global_batch=8, micro_batch=2, checkpoint_every=job.get("every", SAVED),
            keep_last=job.get("keep_last", 1), keep_every=job.get("keep_every"),
            init_from=Path(job["init_from"]) if "init_from" in job else None, asynchronous_checkpoints=job.get("asynchronous", False),
            resume_from=Path(job["resume_from"]) if "resume_from" in job else None,
            continued="continued" in job,
        )  # fmt: skip
        hooks = Hooks()
        inputs: dict[Any, Any] = {TokenShards: TokenShards(Path(data)), Tokenizer: Tokenizer(Path(data))}
        if stage.continued:
            inputs[Checkpoint] = Checkpoint(Path(job["continued"]))
        try:
            results = stage.run(Job(run=out, out=out, seed=job.get("seed", 5), parts=parts, inputs=inputs, hooks=hooks))  # type: ignore[arg-type]
        except Interrupted:
            results = None
        except OSError as e:
            results = {"errno": e.errno, "file": e.filename}
        except ModelwrightError as e:
            found.append(str(e))
            continue
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        found.append({"lines": lines, "results": results, "hooks": hooks.called, "steps": sorted(p.name for p in out.glob("checkpoint/*"))})
    return found


def losses(job: dict[str, Any]) -> list[tuple[float, float]]:
    return [(line["loss"], line["grad_norm"]) for line in job["lines"]]


def close(one: dict[str, Any], other: dict[str, Any], within: float) -> bool:
    pairs = zip(losses(one), losses(other), strict=True)
    return all(abs(a - b) <= within * abs(a) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_trains_resumes_and_starts_from_weights(tmp_path: Path) -> None:
    data = shards(tmp_path / "shards")
    names = ["straight", "killed", "torn", "fresh", "weights"]
    out = {name: str(tmp_path / name) for name in names}
    jobs = [
        {"out": out["straight"], "dropout": 0.1, "asynchronous": True},
        {"out": out["killed"], "dropout": 0.1, "until": SAVED + 2},
        {"out": out["killed"], "dropout": 0.1},
        {"out": out["straight"], "dropout": 0.1},  # nothing is left to do
        {"out": out["weights"], "init_from": out["straight"] + "/checkpoint", "until": 1},
        {"out": out["fresh"], "resume_from": out["killed"] + "/checkpoint", "steps": STEPS + 1, "seed": 6},
        {"out": out["fresh"] + "2", "resume_from": out["killed"] + "/checkpoint", "steps": STEPS + 1, "optimizer": "adamw"},
    ]
    straight, killed, resumed, again, weights, shuffled, stranger = on_ranks(
        run, 1, tmp_path / "o", groups=len(jobs), jobs=jobs, data=str(data)
    )[0]
    assert [line["step"] for line in straight["lines"]] == list(range(1, STEPS + 1))
    assert straight["lines"][-1]["tokens"] == STEPS * 8 * 32
    assert straight["lines"][1]["lr"] == pytest.approx(0.02)  # warmed up
    assert straight["results"]["loss"] == straight["lines"][-1]["loss"] < straight["lines"][0]["loss"]
    assert straight["steps"] == ["latest.json", "model.json", f"step_{STEPS:08d}"]
    assert [step for hook, step in straight["hooks"] if hook == "on_checkpoint"] == [SAVED, STEPS]  # each when it is whole
    assert killed["hooks"][SAVED] == ("on_checkpoint", SAVED)
    assert len(killed["lines"]) == SAVED + 2
    assert losses(resumed) == losses(straight)  # to the last bit, dropout too
    assert resumed["hooks"][0] == ("on_step_end", SAVED + 1)
    assert losses(again) == losses(straight) and again["hooks"] == []
    assert weights["lines"][0]["loss"] < straight["lines"][2]["loss"]
    assert "its seed is 5, not 6, so its place in the data is none here; seed=5" in shuffled
    assert "holds the state of another optimizer, " in stranger and "and not AdamW; to start from its weights alone" in stranger


def test_goes_on_from_a_checkpoint_that_a_stage_before_made(tmp_path: Path) -> None:
    """From its weights, with an optimizer and a place in the data of its own; resumed, from its own checkpoint."""
    first, killed = str(tmp_path / "first"), str(tmp_path / "killed")
    template = "checkpoint/chat_template.jinja"
    (tmp_path / "first/checkpoint").mkdir(parents=True)
    (tmp_path / "first" / template).write_text("{{ messages }}")  # it is a chat model
    base = {"continued": first + "/checkpoint", "dropout": 0.1}
    jobs: list[dict[str, Any]] = [
        {"out": first, "dropout": 0.1, "steps": SAVED},
        {**base, "out": str(tmp_path / "still"), "optimizer": "still", "steps": 1},
        {**base, "out": str(tmp_path / "straight"), "steps": SAVED + 2},
        {**base, "out": killed, "steps": SAVED + 2, "until": SAVED + 1},
        {**base, "out": killed, "steps": SAVED + 2},
        {"init_from": first + "/checkpoint", "out": str(tmp_path / "by_path"), "steps": 1},
    ]
    ran = on_ranks(run, 1, tmp_path / "o", groups=len(jobs), jobs=jobs, data=str(shards(tmp_path / "shards")))[0]
    before, same, after = (
        {name: value for name, value in saved(tmp_path / run, step).items() if not name.startswith("optimizer.")}
        for run, step in (("first", SAVED), ("still", 1), ("straight", SAVED + 2))
    )
    assert len(before) > 5 and all(torch.equal(before[name], same[name]) for name in before)
    assert not any(torch.equal(before[name], after[name]) for name in before)
    _, _, straight, _, resumed, _ = ran
    assert [line["step"] for line in straight["lines"]] == list(range(1, SAVED + 3)) and straight["lines"][0]["tokens"] == 8 * 32
    assert straight["lines"][1]["lr"] == pytest.approx(0.02)  # warmed up anew
    assert losses(resumed) == losses(straight)
    assert all((tmp_path / name / template).read_text() == "{{ messages }}" for name in ("straight", "by_path"))


def saved(run: Path, step: int) -> dict[str, torch.Tensor]:
    from modelwright_plugins.engine.safe_load import SafeReader

    reader = SafeReader(run / f"checkpoint/step_{step:08d}")
    told = reader.index.state_dict_metadata
    found = {n: torch.empty(t.size, dtype=t.properties.dtype) for n, t in told.items() if hasattr(t, "size")}
    torch.distributed.checkpoint.load(found, storage_reader=reader, no_dist=True)
    return found


def test_one_thing_says_where_first_weights_come_from() -> None:
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.stage.train import Train

    assert Checkpoint in Train(continued=True).takes and Checkpoint not in Train().takes
    with pytest.raises(ValueError, match="continued is true and init_from is a; one says where the first weights come from"):
        Train(continued=True, init_from=Path("a"))
    with pytest.raises(ValueError, match="init_from is a and resume_from is b; one says"):
        Train(resume_from=Path("b"), init_from=Path("a"))


@pytest.mark.slow
def test_another_run_goes_on_in_another_layout(tmp_path: Path) -> None:
    """Taking over all, not the weights alone: the optimizer's state and the place in the data too."""
    data, killed = shards(tmp_path / "shards"), str(tmp_path / "killed")
    jobs = [
        {"out": str(tmp_path / "straight"), "layout": {"tensor": 2}},
        {"out": killed, "layout": {"tensor": 2}, "until": SAVED + 1},
        {"out": str(tmp_path / "other"), "layout": {"data": 2}, "resume_from": killed + "/checkpoint", "until": STEPS - 1},
        {"out": str(tmp_path / "other"), "layout": {"data": 2}, "resume_from": killed + "/checkpoint"},  # its own beginning is later
    ]
    straight, _, _, other = on_ranks(run, 2, tmp_path / "o", groups=len(jobs), jobs=jobs, data=str(data))[0]
    assert [line["step"] for line in other["lines"]] == list(range(SAVED + 1, STEPS + 1))
    assert close({"lines": straight["lines"][SAVED:]}, other, 1e-5)
    assert [line["tokens"] for line in other["lines"]] == [line["tokens"] for line in straight["lines"][SAVED:]]


LAYOUTS = [{"tensor": 2}, {"pipeline": 2, "virtual": 2}, {"data": 2}, {"data": 2, "distributed_optimizer": True}]
TO: list[dict[str, Any]] = [
    {},
    {"tensor": 2, "pipeline": 2, "sequence": True},
    {"data": 4, "distributed_optimizer": True},
    {"tensor": 2, "data": 2, "distributed_optimizer": True},
]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    (full := tmp_path / "full").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(full)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        jobs = [{"out": str(full / "run")}]
        ((found,),) = on_ranks(run, 1, tmp_path / "o", groups=1, jobs=jobs, data=str(shards(tmp_path / "shards")))
    finally:
        subprocess.run(["umount", str(full)], check=True)
    step = full / "run" / "checkpoint" / f"step_{STEPS:08d}.tmp"
    assert found["results"] == {"errno": errno.ENOSPC, "file": str(step)}
    assert f"step_{SAVED:08d}" in found["steps"] and step.stem not in found["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumes_in_its_layout_and_in_others(tmp_path: Path, optimizer: str, precision: str) -> None:
    """In the same layout to the last bit; in another within 1e-5 in FP32, and within half precision in BF16."""
    data = shards(tmp_path / "shards")
    jobs: list[dict[str, Any]] = []
    same: list[tuple[int, int]] = []
    other: list[tuple[int, int]] = []
    for number, layout in enumerate(LAYOUTS):
        base = {"layout": layout, "optimizer": optimizer, "precision": precision}
        killed = str(tmp_path / f"killed{number}")
        straight = len(jobs)
        jobs += [{**base, "out": str(tmp_path / f"straight{number}")}, {**base, "out": killed, "until": SAVED + 1}]
        for place, target in enumerate([layout, *TO]):
            if optimizer == "adamw" and place and bool(layout.get("distributed_optimizer")) != bool(target.get("distributed_optimizer")):
                continue
            (other if place else same).append((straight, len(jobs)))
            jobs.append({**base, "layout": target, "copy": killed, "out": str(tmp_path / f"to{number}-{place}")})
    ranks = on_ranks(run, 4, tmp_path / "o", groups=len(jobs), jobs=jobs, data=str(data))
    found = ranks[0]
    for straight, resumed in same:
        assert losses(found[straight]) == losses(found[resumed]), jobs[resumed]
    for straight, resumed in other:
        assert close(found[straight], found[resumed], 1e-5 if precision == "fp32" else 0.02), (jobs[straight], jobs[resumed])
