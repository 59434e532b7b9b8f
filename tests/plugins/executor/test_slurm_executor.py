"""Slurm for real: one node, whose jobs fail, are cancelled, run out of time, and outlive the process that leads."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))
from executor_steps import TASK_BYTES, Fail, Make, Save, Slow, all_there, read_bar
from slurm import missing, slurm

from modelwright.errors import ModelwrightError
from modelwright.schema import conform
from modelwright_plugins.executor import _slurm
from modelwright_plugins.executor._tasks import Tasks
from modelwright_plugins.executor.slurm import Slurm

HERE = Path(__file__).parent
needs_slurm = pytest.mark.skipif(bool(missing()), reason=f"a Slurm of one node needs {', '.join(missing())} (Debian: slurm-wlm munge)")


def run(steps, folder, tasks=4, total=None, logs="logs", **settings):
    Slurm(**settings).run(steps, tasks=tasks, logs=folder / logs, title="try", total=total)


def queue():
    """What is in the queue: states."""
    return subprocess.run(["squeue", "-h", "-r", "-o", "%T"], capture_output=True, text=True).stdout.split()


def _until(true, seconds=240):  # of a busy machine, whose jobs import for minutes; no more than `wait` waits
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    before = dict(os.environ)
    with slurm(tmp_path_factory.mktemp("slurm")) as env:
        os.environ.update(env)
        yield
        os.environ.clear()
        os.environ.update(before)


@needs_slurm
@pytest.mark.slow
def test_jobs_that_fail_once_are_done_once(tmp_path, cluster, capfd):
    """One raises; one's job is cancelled by a person; one is killed."""
    folders = [tmp_path / name for name in ("raise", "wait", "kill")]
    for folder in folders:
        folder.mkdir()
    raising, waiting, killed = (Fail(n + 1, f.name, f, times=1) for n, f in enumerate(folders))
    code = "import time, subprocess, pathlib\n" + f"while not pathlib.Path({str(folders[1] / 'attempt_2_0')!r}).exists(): time.sleep(.1)\n"
    code += f"job = pathlib.Path({str(tmp_path / 'logs/slurm/jobs.txt')!r}).read_text().split()[0]\n"
    canceller = subprocess.Popen([sys.executable, "-c", code + "time.sleep(1); subprocess.run(['scancel', job + '_2'])"])
    run(
        [Make(), Save(tmp_path), raising, waiting, killed],
        tmp_path,
        5,
        100,
        env_command="export HELLO='a b'",
        time="0:05:00",
        cpus_per_task=1,
    )
    assert canceller.wait() == 0
    assert Slurm().problems() == []
    assert all_there(tmp_path, 5) and read_bar(tmp_path / "logs") == 5 * TASK_BYTES
    assert waiting.attempts()[2] == 2 and raising.attempts() == {0: 1, 1: 2, 2: 2, 3: 2, 4: 1}
    log = (tmp_path / "logs/executor.log").read_text()
    assert "task 1 failed, attempt 1: ValueError: no good: 1-1" in log
    assert "task 2 failed, attempt 1: it was cancelled" in log
    assert "task 3 failed, attempt 1: its Slurm job has failed (" in log
    out, err = capfd.readouterr()
    assert out == "" and all(line.startswith(("  try: ", "munged: ")) for line in err.splitlines()), err
    run([Make(), Save(tmp_path), raising], tmp_path, 5)  # nothing is left to do
    assert not queue() and raising.attempts()[0] == 1


@needs_slurm
@pytest.mark.slow
def test_a_task_that_fails_again_is_named_and_the_others_are_cancelled(tmp_path, cluster):
    (later := tmp_path / "later").mkdir()
    steps = [Make(), Fail(0, "raise", tmp_path), Fail(1, "wait", later)]
    with pytest.raises(
        ModelwrightError, match=r"task 0 of 2 failed: ValueError: no good: 0-1 \(tried 2 times\); its log: .*task_00000\.log"
    ):
        run(steps, tmp_path, 2)
    _until(lambda: not queue())
    with pytest.raises(ModelwrightError, match=r"^the file is at fault$") as error:
        run([Make(), Fail(1, "error", tmp_path)], tmp_path, 3, logs="logs2", workers=1)
    assert error.value.key == "source.paths"
    _until(lambda: not queue())
    with pytest.raises(ModelwrightError, match=r"executor=slurm: .*partition"):
        run(steps, tmp_path, 2, logs="logs3", partition="none_such")
    with pytest.raises(ModelwrightError, match=r"task 0 of 1 failed: its Slurm job has failed .*no_such_python"):
        run(steps, tmp_path, 1, logs="logs4", python="/no_such_python", retries=0)


@needs_slurm
@pytest.mark.slow
def test_a_leader_that_is_killed_leaves_jobs_that_the_next_one_ends(tmp_path, cluster):
    """And Ctrl-C ends them itself."""
    code = f"""
import pathlib, sys
sys.path.insert(0, {str(HERE)!r})
from executor_steps import *
from modelwright_plugins.executor.slurm import Slurm
folder = pathlib.Path({str(tmp_path)!r})
steps = [Make(), Fail(1, "wait", folder, times=2), Slow(0.01), Save(folder)]
Slurm().run(steps, tasks=3, logs=folder / "logs", title="t", total=None)
"""
    for number, how in enumerate((signal.SIGKILL, signal.SIGINT)):
        leader = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        _until(lambda n=number: (tmp_path / f"attempt_1_{n}").exists() and (tmp_path / "logs/completions/00000").exists())
        leader.send_signal(how)
        assert leader.wait() != 0
        if how == signal.SIGKILL:
            assert queue()
    _until(lambda: not queue())
    again = Fail(1, "wait", tmp_path, times=2)
    run([Make(), again, Slow(0.01), Save(tmp_path)], tmp_path, 3)
    assert all_there(tmp_path, 3)
    assert again.attempts() == {0: 1, 1: 3, 2: again.attempts()[2]} and not queue()


class Cluster:
    """A squeue that says what it is told to: (state, reason) of each index of array 7, or None where it does not answer."""

    def __init__(self, monkeypatch, *looks):
        self.looks, self.said = list(looks), []
        monkeypatch.setattr(_slurm, "_slurm", self.answer)
        monkeypatch.setattr(_slurm, "SOONEST", 0.001)
        monkeypatch.setattr(_slurm.Arrays, "grace", 0.01)

    def answer(self, *words):
        self.said.append(words)
        out, code, error = "", 0, ""
        if words[0] == "sbatch":
            out = f"{6 + len([w for w in self.said if w[0] == 'sbatch'])};cluster\n"
        elif words[0] == "scontrol":
            out = "MaxArraySize            = 2\n"
        elif words[0] == "squeue":
            look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            if look is None:
                code, error = 1, "slurm_load_jobs error: Unable to contact slurm controller"
            elif not look:
                code, error = 1, "slurm_load_jobs error: Invalid job id specified"
            else:
                out = "".join(f"{job}|{index}|{state}|{reason}\n" for job, index, state, reason in look)
        return subprocess.CompletedProcess(words, code, out, error)


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([[(7, 0, "RUNNING", "None")], []], "it is gone from Slurm's queue, without a completion mark"),
        ([None, [(7, 0, "TIMEOUT", "TimeLimit")]], r"its time ran out \(executor.time\)"),
        ([[(7, 0, "OUT_OF_MEMORY", "OutOfMemory")]], r"it ran out of memory \(executor.mem_per_cpu_gb\)"),
        ([[(7, 0, "NODE_FAIL", "None")]], "its node failed"),
        ([[(7, 0, "COMPLETED", "None")]], "it ended without a completion mark"),
    ],
)
def test_what_became_of_a_task_is_told(tmp_path, monkeypatch, looks, why):
    Cluster(monkeypatch, *looks)
    with pytest.raises(ModelwrightError, match=f"task 0 of 1 failed: {why}; its log"):
        run([Make()], tmp_path, 1, retries=0)


def test_what_slurm_will_never_start_is_told_at_once(tmp_path, monkeypatch):
    slurm = Cluster(monkeypatch, [(7, 0, "PENDING", "Priority")], [(7, 0, "PENDING", "PartitionTimeLimit")])
    with pytest.raises(ModelwrightError, match=r"Slurm will not start task 0 as it was asked to \(PartitionTimeLimit\)"):
        run([Make()], tmp_path, 1, time="99-0")
    assert slurm.said[-1] == ("scancel", "7_0")


def test_more_tasks_than_an_array_may_have(tmp_path, monkeypatch):
    """Two arrays; with workers, what is above their number waits."""
    slurm = Cluster(monkeypatch, [(7, 0, "COMPLETED", ""), (7, 1, "RUNNING", ""), (8, 0, "RUNNING", "")])
    executor = Tasks([Make()], 3, tmp_path)
    executor.mark_rank_as_completed(0)
    there = _slurm.Arrays(executor, Slurm(sbatch={"constraint": "big", "exclusive": ""}, mem_per_cpu_gb=1.5, partition="p"))
    there.submit([0, 1, 2])
    assert there.ended() == [(0, None)]
    calls = [words for words in slurm.said if words[0] == "sbatch"]
    assert [words[2] for words in calls] == ["--array=0-1", "--array=0-0"]
    assert {"--constraint=big", "--exclusive", "--mem-per-cpu=1536M", "--partition=p"} < {*calls[0]}
    there.close()
    assert slurm.said[-1] == ("scancel", "7", "8")
    slurm.looks = [[(7, 0, "CANCELLED", ""), (8, 0, "COMPLETING", "")], []]
    limited = _slurm.Arrays(executor, Slurm(workers=2))
    assert not slurm.looks[0]  # it has waited for what it cancelled
    slurm.said.clear()
    limited.submit([0, 1, 2])
    slurm.looks = [[(7, 0, "RUNNING", ""), (7, 1, "RUNNING", "")]]
    limited.ended()
    assert [words[2] for words in slurm.said if words[0] == "sbatch"] == ["--array=0-1"]


def test_with_workers_a_retry_does_not_wait_for_the_array(tmp_path, monkeypatch):
    """And no more jobs than workers are in the queue, whatever array they are of."""
    slurm = Cluster(monkeypatch, [(7, index, "RUNNING", "") for index in range(2)])
    executor = Tasks([Make()], 9, tmp_path)
    there = _slurm.Arrays(executor, Slurm(workers=2))
    there.submit(range(9))
    assert there.ended() == []
    executor.mark_rank_as_completed(0)
    slurm.looks = [[(7, 0, "COMPLETED", ""), (7, 1, "FAILED", "")]]
    (done, fine), (failed, failure) = there.ended()
    assert (done, fine, failed) == (0, None, 1) and failure is not None
    there.submit([failed])
    slurm.looks = [[(8, 0, "RUNNING", ""), (8, 1, "RUNNING", "")]]
    assert there.ended() == [] and there.ended() == []
    arrays = [json.loads(file.read_text()) for file in sorted((tmp_path / "slurm").glob("ranks_*.json"))]
    assert arrays == [[0, 1], [1, 2]] and sorted(turn.rank for turn in there.turns.values()) == [1, 2]


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Slurm().problems() == ["executor=slurm needs sbatch, which is not on this machine: start the run where Slurm's commands are"]
    with pytest.raises(ModelwrightError, match=r"executor=slurm needs s.*, which is not on this machine"):
        run([Make()], tmp_path)


def test_a_slurm_that_does_not_answer_is_told_before_anything_runs(tmp_path, monkeypatch):
    for name, script in (("sbatch", "exit 0"), ("sinfo", "echo 'sinfo: error: no host' >&2; echo 'sinfo: fatal: no cluster' >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Slurm().problems() == ["executor=slurm: Slurm does not answer: sinfo: fatal: no cluster"]
    (tmp_path / "sinfo").write_text("#!/bin/sh\nexit 0\n")
    assert Slurm().problems() == []


def test_bad_values():
    for bad, said in (
        ({"workers": 0}, "at least 1"),
        ({"mem_per_cpu_gb": 0}, "mem_per_cpu_gb is 0"),
        ({"sbatch": {"array": "1"}}, "array"),
        ({"time": "90"}, "time is 90, a bare number"),
        ({"sbatch": {"begin": "57600"}}, "sbatch.begin is 57600, a bare number"),
    ):
        with pytest.raises(ValueError, match=said):
            Slurm(**bad)


def test_a_time_that_yaml_has_read_to_the_base_of_60_is_refused(tmp_path):
    """Slurm would take 5400 for minutes."""
    with pytest.raises(ModelwrightError, match=r"time is 5400, a bare number; write '1:30:00', in quotes"):
        conform(yaml.safe_load("time: 1:30:00"), Slurm, "executor")
    for good in ("time: '1:30:00'", "time: 0:90:00", "time: 1-12", "sbatch: {nice: 100, begin: now}"):
        conform(yaml.safe_load(good), Slurm, "executor")


def test_a_slurm_that_stops_answering_is_told_of(tmp_path, monkeypatch, capsys):
    """At once in the log, after some minutes to the one who waits, and again."""
    running = [(7, 0, "RUNNING", "")]
    Cluster(monkeypatch, running, None, None, None, None, running, [(7, 0, "FAILED", "None")])
    monkeypatch.setattr(_slurm, "SILENCE", 100.0)
    clock = iter(range(0, 1000, 60))
    monkeypatch.setattr(_slurm, "time", SimpleNamespace(sleep=time.sleep, monotonic=lambda: next(clock)))
    with pytest.raises(ModelwrightError, match="task 0 of 1 failed"):
        run([Make()], tmp_path, 1, retries=0)
    said = [line.partition(" ")[2].partition(" ")[2] for line in (tmp_path / "logs/executor.log").read_text().splitlines()]
    why = "slurm_load_jobs error: Unable to contact slurm controller"
    told = f"Slurm has not answered for 2 minutes; this waits until it does (Ctrl-C ends it): {why}"
    assert said[2:5] == [f"Slurm does not answer: {why}", told, "Slurm answers again"]
    assert capsys.readouterr().err == f"  {told}\n"
