"""Training that is killed with SIGKILL, again and again, at moments nobody chose, has the losses of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
import test_train
from layouts import shards
from ranks import on_ranks
from test_train import close, run

STEPS, EVERY, KILLS = 24, 2, 5
LAYOUTS: dict[str, dict[str, Any]] = {
    "one rank, FP16": {},
    "tensor 2, data 2": {"tensor": 2, "data": 2, "distributed_optimizer": True},
    "pipeline 2, virtual 2": {"pipeline": 2, "virtual": 2},
}


def killed(rank: int, job: dict[str, Any], data: str, seed: int, kills: int = KILLS, finish: bool = True) -> list[tuple[int, list[str]]]:
    """Train in a child process that is killed `kills` times, then left alone if it is to `finish`. Each rank kills its own, at about the
    same time: some milliseconds after a step, within the next two, where training waits for a killer that is late. (the last step done,
    what the checkpoints' folder held) at each kill."""
    dice, told, metrics = random.Random(seed), [], Path(job["out"]) / "metrics.jsonl"
    for attempt in range(kills + finish):
        opened = metrics.stat().st_ino if metrics.exists() else None
        steps, delay = dice.randrange(1, STEPS // KILLS + EVERY), dice.uniform(0, 0.02)  # in the midst of a step, or of a save
        if (child := os.fork()) == 0:
            if attempt < kills:
                test_train.Hooks.call = wait_after(steps + 2)  # type: ignore[method-assign]
            run(rank, [job | {"group": attempt}], data)
            os._exit(0)
        first = None
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
            if attempt == kills or not metrics.exists() or metrics.stat().st_ino == opened:
                continue
            done = metrics.read_bytes().count(b"\n")
            first = done if first is None else first
            if done >= first + steps:
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
                    told.append((done, sorted(p.name for p in metrics.parent.glob("checkpoint/*"))))
                break
    return told


def wait_after(steps: int) -> Any:
    def call(self: test_train.Hooks, hook: str, **arguments: Any) -> None:
        self.called.append((hook, arguments["step"]))
        if [name for name, _ in self.called].count("on_step_end") >= steps:
            time.sleep(200)

    return call


def told(job: dict[str, Any]) -> list[dict[str, float]]:
    """Of each step the loss, the gradient's norm, the tokens seen, the learning rate, the loss scale: all that a clock doesn't change."""
    return [{name: value for name, value in line.items() if name != "tokens_per_second"} for line in job["lines"]]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses_are_those_of_a_training_that_was_left_alone(tmp_path: Path, layout: str) -> None:
    data, seed = str(shards(tmp_path / "shards")), random.randrange(10**6)
    print(f"seed {seed}")
    precision = "fp16" if "FP16" in layout else "fp32"
    base = {
        "precision": precision,
        "layout": LAYOUTS[layout],
        "dropout": 0.1,
        "steps": STEPS,
        "every": EVERY,
        "keep_last": 2,
        "asynchronous": True,
    }
    ranks = 4 if "data" in LAYOUTS[layout] else 2 if LAYOUTS[layout] else 1
    ((straight, *_), *_) = on_ranks(run, ranks, tmp_path / "o1", jobs=[base | {"out": str(tmp_path / "straight")}], data=data)
    job = base | {"out": str(tmp_path / "killed")}
    kills = on_ranks(killed, ranks, tmp_path / "o2", groups=KILLS + 1, job=job, data=data, seed=seed)[0]
    print(f"killed after steps {[step for step, _ in kills]}")
    assert len(kills) >= 3
    ((again, *_), *_) = on_ranks(run, ranks, tmp_path / "o3", jobs=[job], data=data)  # nothing is left to do: what it has written
    assert told(again) == told(straight) and len(told(again)) == STEPS
    scales = {line["loss_scale"] for line in told(again) if "loss_scale" in line}
    assert len(scales) > 2 if precision == "fp16" else not scales


@pytest.mark.slow
def test_a_killed_training_goes_on_in_another_layout(tmp_path: Path) -> None:
    """Without dropout, whose masks are the layout's own."""
    data, seed = str(shards(tmp_path / "shards")), random.randrange(10**6)
    print(f"seed {seed}")
    base = {"steps": STEPS, "every": EVERY, "asynchronous": True, "out": str(tmp_path / "killed"), "layout": {"tensor": 2, "data": 2}}
    ((straight, *_), *_) = on_ranks(run, 4, tmp_path / "o1", jobs=[base | {"out": str(tmp_path / "straight")}], data=data)
    layouts = [{"tensor": 2, "data": 2}, {"tensor": 2, "pipeline": 2}, {"data": 2, "pipeline": 2, "distributed_optimizer": True}]
    kills = []
    for number, layout in enumerate(layouts):
        job, once = base | {"layout": layout}, {"kills": 1, "finish": False}
        kills += on_ranks(killed, 4, tmp_path / f"k{number}", job=job, data=data, seed=seed + number, **once)[0]
    print(f"killed after steps {[step for step, _ in kills]}")
    ((end, *_), *_) = on_ranks(run, 4, tmp_path / "o2", jobs=[base | {"layout": {}}], data=data)
    assert close(straight, end, 1e-5)
    assert [line["tokens"] for line in end["lines"]] == [line["tokens"] for line in straight["lines"]]
