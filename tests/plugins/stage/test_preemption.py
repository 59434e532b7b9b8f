"""SIGTERM: a training saves the step it is at and ends, and has the losses of one that was left alone when it goes on; a Slurm of one
node is asked to run it again, by one of the job's tasks, unless it was cancelled."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))
from layouts import shards
from slurm import missing, slurm

from modelwright.errors import ModelwrightError
from modelwright.manifest import measured
from modelwright_plugins import preemption

STEPS, MODELWRIGHT = 100, (sys.executable, "-m", "modelwright")
MODEL = ("architecture.layers=2", "architecture.width=32", "architecture.heads=4", "architecture.dropout=0.1")
SIZES = ("sequence_length=32", "global_batch=8", "micro_batch=4", "checkpoint_every=1000")  # what is saved before the end, SIGTERM saved
WORDS = ("run", "recipe=pretrain/quickstart", "stages=[train]", "from=data", *MODEL, *(f"train.{size}" for size in SIZES))
TOY = str(Path(__file__).parents[2] / "core" / "toy")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has made token shards."""
    folder = tmp_path_factory.mktemp("home")
    tokens, tokenizer = shards(folder / "data" / "tokenize" / "token_shards"), folder / "data" / "tokenize" / "tokenizer"
    tokenizer.mkdir()
    record = {"status": "finished", "artifacts": {path.name: measured(path) for path in (tokens, tokenizer)}}
    (folder / "data" / "manifest.json").write_text(json.dumps({"status": "finished", "overrides": [], "stages": {"tokenize": record}}))
    return folder


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1"}


def words(name: str, ranks: int) -> list[str]:
    return [*WORDS, f"train.steps={STEPS}", f"parallel.tensor={ranks}", "run.reuse=false", f"run.dir={name}"]


def done(home: Path, *command: str, env: dict[str, str] | None = None) -> str:
    said = subprocess.run(command, cwd=home, env=env or environment(home), capture_output=True, text=True, timeout=500)
    assert said.returncode == 0, said.stderr
    return said.stdout


def lines(run: Path) -> list[dict[str, float]]:
    file = run / "train" / "metrics.jsonl"
    whole = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def told(run: Path) -> list[tuple[float, ...]]:
    return [tuple(line[key] for key in ("step", "tokens", "loss", "grad_norm")) for line in lines(run)]


def until(so: Callable[[], Any], seconds: float = 500) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := so()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
    return found


def saved(run: Path) -> int:
    """The step that it stopped at, which is the one checkpoint that it has."""
    steps = [int(step.name[5:]) for step in (run / "train" / "checkpoint").glob("step_*")]
    assert steps == [len(lines(run))] and 20 <= steps[0] < STEPS
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], manifest["error"]) == ("stopped", "SIGTERM")
    return steps[0]


@pytest.fixture(scope="module")
def alone(home: Path) -> Callable[[int], list[tuple[float, ...]]]:
    """What a training on so many ranks tells that was left alone."""

    def trained(ranks: int) -> list[tuple[float, ...]]:
        if not lines(home / f"alone{ranks}"):
            done(home, *MODELWRIGHT, *words(f"alone{ranks}", ranks))
        return told(home / f"alone{ranks}")

    return trained


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "again"), [(1, "resume"), (2, "run")])
def test_sigterm_saves_and_the_run_goes_on(home: Path, alone: Any, ranks: int, again: str) -> None:
    run = home / f"stopped{ranks}"
    leader = subprocess.Popen([*MODELWRIGHT, *words(run.name, ranks)], cwd=home, env=environment(home), stderr=subprocess.PIPE, text=True)
    until(lambda: len(lines(run)) >= 20)
    leader.send_signal(signal.SIGTERM)
    leader.send_signal(signal.SIGTERM)  # of a job's process and of srun: one request may come twice
    _, errors = leader.communicate(timeout=300)
    assert leader.returncode == 130 and "modelwright: stopped" in errors
    stopped = saved(run)
    assert told(run) == alone(ranks)[:stopped]
    done(home, *MODELWRIGHT, *(("resume", run.name) if again == "resume" else words(run.name, ranks)))
    assert told(run) == alone(ranks) and len(told(run)) == STEPS


STUBBORN = '''
import signal, subprocess, sys, time
from modelwright_plugins.preemption import notice
signal.signal(signal.SIGTERM, signal.default_int_handler)
notice()
rank = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: [time.sleep(1), open("saved", "w"), sys.exit(1)])
open("up", "w")
time.sleep(60)
"""
started = subprocess.Popen([sys.executable, "-c", rank, "modelwright.rank"], start_new_session=True)
try:
    while True:
        time.sleep(0.05)
except KeyboardInterrupt as e:
    print(e, started.wait(0))
'''


def test_ranks_are_waited_for(tmp_path: Path) -> None:
    """However long they take: it is asked for, not timed. More requests change nothing."""
    leader = subprocess.Popen([sys.executable, "-c", STUBBORN], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    until((tmp_path / "up").exists, 30)
    for _ in range(3):
        leader.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert leader.communicate(timeout=30)[0] == "SIGTERM 1\n" and (tmp_path / "saved").exists()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """What is asked of Slurm at the end of a run with this error, in a job in this state."""

    def end(error: BaseException | None, state: str = "RUNNING", refuse: bool = False) -> list[str]:
        program, log = tmp_path / "scontrol", tmp_path / "asked"
        log.write_text("")
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {log}\ncase "$1" in\nshow) echo "JobId=7 JobName=x JobState={state} Reason=None";;\n'
            f"*) {'echo disabled >&2; exit 1' if refuse else 'exit 0'};;\nesac\n"
        )
        program.chmod(0o755)
        preemption.ask_again(error)
        return log.read_text().splitlines()

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    before = signal.getsignal(signal.SIGTERM)
    yield end
    signal.signal(signal.SIGTERM, before)


def test_when_slurm_is_asked(asked: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    look, ask = "show job --oneliner 7", "requeue 7"
    assert asked(preemption.Preempted()) == [look, ask] and "Slurm will run job 7 again" in capsys.readouterr().out
    assert asked(ModelwrightError("SIGTERM: stopped after step 3, which is saved")) == [look, ask]  # one of its ranks alone was told
    assert asked(KeyboardInterrupt()) == asked(None) == asked(ModelwrightError("a full disk")) == []
    assert asked(preemption.Preempted(), "COMPLETING") == asked(preemption.Preempted(), "CANCELLED") == [look]
    with pytest.warns(UserWarning, match="Slurm will not run job 7 again: disabled"):
        asked(preemption.Preempted(), refuse=True)
    with pytest.warns(UserWarning, match="does not tell its state"):
        assert asked(preemption.Preempted(), "") == [look]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.warns(UserWarning, match="there is no scontrol here to ask with"):
        assert asked(preemption.Preempted()) == []
    monkeypatch.delenv("SLURM_JOB_ID")
    assert asked(preemption.Preempted()) == []


class Jobs:
    """A Slurm to give scripts to."""

    def __init__(self, home: Path, slurms: dict[str, str]) -> None:
        self.home, self.env = home, {**environment(home), **slurms, "PYTHONPATH": TOY}
        self.restarts: dict[str, str] = {}

    def submit(self, name: str, *options: str, script: str) -> str:
        (self.home / f"{name}.sh").write_text(f"#!/bin/bash\n{script}\n")
        out = (f"--output={name}.log", "--open-mode=append", "--ntasks=1")
        return done(self.home, "sbatch", "--parsable", *out, *options, f"{name}.sh", env=self.env).strip()

    def said(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text() if (self.home / f"{name}.log").exists() else ""

    def state(self, job: str) -> dict[str, str]:
        words = done(self.home, "scontrol", "show", "job", "--oneliner", job, env=self.env).split()
        return dict(word.partition("=")[::2] for word in words)

    def ended(self, job: str) -> dict[str, str]:
        return until(lambda: (now := self.state(job))["JobState"] not in {"PENDING", "RUNNING", "COMPLETING"} and now)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=f"a Slurm of one node needs {', '.join(missing())} (Debian: apt install slurm-wlm munge)")
def test_on_slurm(home: Path, alone: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    with slurm(tmp_path_factory.mktemp("slurm")) as env:
        jobs, run = Jobs(home, env), home / "requeued"
        # two tasks, both told: each lets its rank save, and one of them asks
        train = jobs.submit("train", "--ntasks=2", script=shlex.join(["srun", *MODELWRIGHT, *words(run.name, 2)]))
        until(lambda: len(lines(run)) >= 20)
        done(home, "scancel", "--signal=TERM", train, env=jobs.env)
        until(lambda: jobs.state(train)["Restarts"] == "1")
        assert saved(run) and jobs.said("train").count(f"Slurm will run job {train} again") == 1
        assert told(run) == alone(2)[: len(lines(run))]

        # meanwhile: one that may not be queued again is told so; one that is cancelled is not queued again
        learn = f"exec {shlex.join(MODELWRIGHT)} run recipe=toy stages=[learn] learn.wait=0.1 learn.steps=600 run.reuse=false"
        refused = jobs.submit("refused", "--no-requeue", script=f"{learn} run.dir=refused")
        cancelled = jobs.submit("cancelled", script=f"{learn} run.dir=cancelled")
        until(lambda: "[1/1] learn" in jobs.said("refused") and "[1/1] learn" in jobs.said("cancelled"))
        done(home, "scancel", "--batch", "--signal=TERM", refused, env=jobs.env)
        done(home, "scancel", cancelled, env=jobs.env)
        assert jobs.ended(refused)["ExitCode"] == "130:0" and f"Slurm will not run job {refused} again: " in jobs.said("refused")
        assert jobs.ended(cancelled)["JobState"] == "CANCELLED" and jobs.state(cancelled)["Restarts"] == "0"
        until(lambda: "modelwright: stopped" in jobs.said("cancelled"))
        assert "again" not in jobs.said("cancelled")
        assert json.loads((home / "cancelled" / "manifest.json").read_text())["status"] == "stopped"

        done(home, "scontrol", "update", f"JobId={train}", "StartTime=now", env=jobs.env)  # Slurm would wait for two minutes
        assert jobs.ended(train)["JobState"] == "COMPLETED", jobs.said("train")
        assert told(run) == alone(2)
