from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TOY

RECIPE = ("run", "recipe=toy", "run.dir=out")


@pytest.mark.parametrize(
    ("die", "said"),
    [
        ("1:raise", "rank 1 of stage 'paint' failed first: RuntimeError: paint ran out; its log, with any traceback:"),
        ("0:raise", "rank 0 of stage 'paint' failed first: RuntimeError: paint ran out; its log, with any traceback:"),
        ("1:kill", "rank 1 of stage 'paint' was killed by SIGKILL"),
        ("1:exit", "rank 1 of stage 'paint' failed first: SystemExit: 3"),
    ],
)
def test_the_rank_that_failed_first_is_named(modelwright, tmp_path, die, said):
    began = time.monotonic()
    code, _, errors = modelwright(*RECIPE, f"paint.die={die}")
    assert (code, said in errors, errors.count("\n")) == (1, True, 1), errors
    assert time.monotonic() - began < 55, "the innocent rank slept on"
    rank = die[0]
    if die.endswith("raise"):
        assert "RuntimeError: paint ran out" in (tmp_path / "out" / "logs" / f"paint.rank{rank}.log").read_text()
        assert 'raise RuntimeError("paint ran out")' in (tmp_path / "out" / "logs" / f"paint.rank{rank}.log").read_text()


def test_killing_the_leader_ends_its_ranks(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
    leader = subprocess.Popen(
        [sys.executable, "-m", "modelwright", *RECIPE, "paint.die=5:raise"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    )
    log = tmp_path / "out" / "logs" / "paint.rank1.log"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (log.exists() and "speaks" in log.read_text()):
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-f", f"modelwright.rank {tmp_path}"], capture_output=True, text=True).stdout.split()
    assert len(children) == 2
    leader.send_signal(signal.SIGKILL)
    while time.monotonic() < deadline and any(alive(int(pid)) for pid in children):
        time.sleep(0.1)
    assert not any(alive(int(pid)) for pid in children)


def test_a_rank_that_was_killed_is_told_before_those_that_noticed(tmp_path):
    from modelwright.launch import _first_failure

    (tmp_path / "paint.rank0.error.json").write_text(json.dumps({"time": 1, "rank": 0, "kind": None, "error": "connection closed"}))
    (tmp_path / "paint.rank1.error.json").write_text("")  # killed while it wrote
    assert "rank 2 of stage 'paint' was killed by SIGKILL" in str(_first_failure(tmp_path, "paint", {0: 1, 1: 1, 2: -9}))
    assert "rank 0 of stage 'paint' failed first: connection closed" in str(_first_failure(tmp_path, "paint", {0: 1, 1: 1}))


def test_a_terminated_run_stops_its_ranks_and_says_so_in_its_manifest(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "modelwright", *RECIPE, "paint.die=5:raise"]
    leader = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "out" / "logs" / "paint.rank1.log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and "speaks" in log.read_text()):
        time.sleep(0.1)
    leader.send_signal(signal.SIGTERM)
    assert "modelwright: stopped" in leader.communicate(timeout=30)[1] and leader.returncode == 130
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "stopped"
    assert not subprocess.run(["pgrep", "-f", f"modelwright.rank {tmp_path}"], capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, (1, 2)),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}, (3, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # inside sbatch, not started by srun
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, None),
        ({}, None),
    ],
)
def test_who_started_us(monkeypatch, env, found):
    from modelwright.launch import world

    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert world() == found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_torchrun_joins(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "modelwright"]
    done = subprocess.run([*torchrun, *RECIPE], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "finished"
    assert sorted(p.name for p in (tmp_path / "out" / "paint" / "painted").iterdir()) == ["0.txt", "1.txt"]
    assert done.stdout.count("[1/2] draw: done") == 1  # one rank leads
    wrong = subprocess.run(
        [*torchrun, *RECIPE[:-1], "run.dir=b", "paint.workers=3"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert wrong.returncode != 0 and "stage 'paint' needs 3 ranks, and 2 were started" in wrong.stderr
    sweep = subprocess.run(
        [*torchrun, "run", "recipe=toy", "-m", "seed=1,2"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert sweep.returncode != 0 and "-m under torchrun or Slurm would sweep on every rank" in sweep.stderr


def test_a_rank_whose_leader_has_died_while_it_was_starting_ends(tmp_path):
    """The system tells it only of deaths after it has asked to be told; SIGINT between the two left a rank alone."""
    env = {**os.environ, "RANK": "0", "MODELWRIGHT_LEADER": "1"}
    words = [sys.executable, "-m", "modelwright.rank", str(tmp_path), "paint"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "") and not list(tmp_path.iterdir())
