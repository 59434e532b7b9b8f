"""The quickstart on a little of the Python library: the whole path, from the command line, as a person would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelwright_plugins.scaling.sweep import ParameterCount

pytestmark = pytest.mark.slow
SMALL = ("source.max_bytes=1_500_000", "curate.min_bytes=0", "train.steps=12", "train.checkpoint_every=4", "evaluate.prompts=['def f(']")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def modelwright(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache")}
    return subprocess.run([sys.executable, "-m", "modelwright", *words], cwd=home, env=env, capture_output=True, text=True, timeout=600)


def run(home: Path, name: str, *words: str) -> Path:
    done = modelwright(home, "run", "recipe=pretrain/quickstart", *SMALL, f"run.dir={name}", *words)
    assert done.returncode == 0, done.stderr
    return home / name


def losses(folder: Path) -> list[tuple[float, float, float]]:
    return [(m["step"], m["loss"], m["grad_norm"]) for m in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]


@pytest.fixture(scope="module")
def first(home) -> Path:
    return run(home, "first")


def test_the_run_leaves_everything_that_was_promised(first):
    manifest = json.loads((first / "manifest.json").read_text())
    assert list(manifest["stages"]) == ["curate", "train_tokenizer", "tokenize", "train", "evaluate", "report"]
    assert all(s["status"] == "finished" for s in manifest["stages"].values())
    assert {"torch", "megatron-core", "modelwright", "python"} <= set(manifest["versions"])
    assert manifest["plugins"]["builtin"].startswith("modelwright ") and manifest["seed"] == 1234
    metrics = [json.loads(line) for line in (first / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in metrics] == list(range(1, 13))
    assert set(metrics[0]) == {"step", "tokens", "loss", "grad_norm", "lr", "tokens_per_second"}
    assert metrics[-1]["loss"] < metrics[0]["loss"] - 1.0
    evaluation = json.loads((first / "evaluation.json").read_text())
    assert 0 < evaluation["model"]["bits_per_byte"] < 8
    assert evaluation["parameters"] == ParameterCount()(first / "train/checkpoint/model.json", embeddings=True)
    page = (first / "report.html").read_text()
    assert "gopher_quality_code" in page and "<svg" in page and "bits per byte" in page


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(home, first):
    again = run(home, "again", "run.reuse=false", "stages=[curate,train_tokenizer,tokenize,train]")
    assert losses(again) == losses(first)
    stages = [json.loads((folder / "manifest.json").read_text())["stages"] for folder in (first, again)]
    for name in ("curate", "train_tokenizer", "tokenize"):
        assert stages[0][name]["artifacts"] == stages[1][name]["artifacts"], name
    other = run(home, "other", "seed=7", "from=first", "stages=[train]")
    assert losses(other)[0] != losses(first)[0]


def test_a_run_killed_while_training_goes_on_with_the_same_losses(home, first):
    env = {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache")}
    words = ["run", "recipe=pretrain/quickstart", *SMALL, "run.dir=killed"]
    words += ["stages=[curate,train_tokenizer,tokenize,train,evaluate]", "train.keep_last=1"]  # another identity than the first run's
    leader = subprocess.Popen(
        [sys.executable, "-m", "modelwright", *words], cwd=home, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not list((home / "killed").glob("train/checkpoint/latest.json")):
        time.sleep(0.05)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    stopped = json.loads((home / "killed" / "manifest.json").read_text())
    assert stopped["stages"]["train"]["status"] == "running"
    stamp = (home / "killed" / "tokenize" / "token_shards" / "train.bin").stat().st_mtime_ns
    done = modelwright(home, "resume", "killed")
    assert done.returncode == 0, done.stderr
    assert "tokenize: finished already" in done.stdout
    assert (home / "killed" / "tokenize" / "token_shards" / "train.bin").stat().st_mtime_ns == stamp
    assert losses(home / "killed") == losses(first)


def test_another_optimizer_takes_over_the_data(home, first):
    folder = run(home, "adamw", "optimizer=adamw", "stages=[curate,train_tokenizer,tokenize,train]")
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    assert stages["tokenize"]["reused_from"].endswith("/tokenize") and "reused_from" not in stages["train"]
    assert losses(folder)[0][1] == losses(first)[0][1] and losses(folder)[-1] != losses(first)[-1]


def test_a_sweep_prints_a_table(home, first):
    words = ("train.steps=3", "stages=[curate,train_tokenizer,tokenize,train]", "-m", "optimizer.lr=1e-3,3e-3", "run.dir=sweep")
    done = modelwright(home, "run", "recipe=pretrain/quickstart", *SMALL, *words)
    assert done.returncode == 0, done.stderr
    rows = {line[0]: line.split() for line in done.stdout.splitlines() if line.startswith(("0  ", "1  "))}
    assert {name: (row[1], row[3]) for name, row in rows.items()} == {"0": ("finished", "0.001"), "1": ("finished", "0.003")}
    assert (home / "sweep" / "0" / "metrics.jsonl").exists() and (home / "sweep" / "1" / "metrics.jsonl").exists()


def test_torchrun_joins(home, first):
    env = {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache")}
    words = ["run", "recipe=pretrain/quickstart", *SMALL, "parallel.tensor=2", "run.dir=joined"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "modelwright", *words]
    done = subprocess.run(
        [*command, "stages=[curate,train_tokenizer,tokenize,train]"], cwd=home, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = losses(first), losses(home / "joined")
    assert all(abs(a[1] - b[1]) <= 1e-4 * a[1] for a, b in zip(ours, theirs, strict=True))
