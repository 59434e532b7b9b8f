"""The local executor: every task completes, or the failure is told."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from executor_steps import TASK_BYTES, Cut, Fail, Make, Save, all_there, read_bar

from modelwright.errors import ModelwrightError
from modelwright_plugins.executor._tasks import Failure, Places, Tasks
from modelwright_plugins.executor.local import Local

HERE = Path(__file__).parent


def run(steps, folder, tasks=4, total=None, logs="logs", **settings):
    Local(**settings).run(steps, tasks=tasks, logs=folder / logs, title="try", total=total)


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_every_task_with_steps_of_its_own_and_logs_to_files(tmp_path, workers, capfd):
    run([Make(), Save(tmp_path)], tmp_path, 5, 100, workers=workers)
    assert all_there(tmp_path, 5)
    for rank in range(5):
        assert "Processing done" in (tmp_path / f"logs/logs/task_{rank:05d}.log").read_text()
    out, err = capfd.readouterr()
    assert out == "" and "try" in err and "INFO" not in err and "SUCCESS" not in err
    assert read_bar(tmp_path / "logs") == 5 * TASK_BYTES
    assert (tmp_path / "logs/stats.json").stat().st_size > 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_fails_again_is_named_with_its_log(tmp_path, workers, capfd):
    fail = Fail(2, "raise", tmp_path)
    named = r"task 2 of 4 failed: ValueError: no good: 2-1 \(tried 2 times\); its log: .*task_00002\.log"
    with pytest.raises(ModelwrightError, match=named) as error:
        run([Make(), fail], tmp_path, workers=workers)
    assert "\n" not in str(error.value)
    assert fail.attempts()[2] == 2
    for log in ("task_00002", "task_00002_attempt_1"):
        assert "ValueError" in (tmp_path / "logs/logs" / f"{log}.log").read_text()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_failed_once_is_done_once(tmp_path, workers):
    fail = Fail(2, "raise", tmp_path, times=1)
    run([Make(), Save(tmp_path), fail], tmp_path, total=100, workers=workers)
    assert all_there(tmp_path, 4) and fail.attempts() == {0: 1, 1: 1, 2: 2, 3: 1}
    assert read_bar(tmp_path / "logs") == 4 * TASK_BYTES
    assert "task 2 failed, attempt 1: ValueError: no good: 2-1" in (tmp_path / "logs/executor.log").read_text()


@pytest.mark.parametrize(("how", "why"), [("kill", r"was killed \(is memory full\?\)"), ("exit", "ended with exit code 3")])
def test_a_killed_worker_costs_the_task_it_met_and_no_other(tmp_path, how, why):
    fail = Fail(1, how, tmp_path, times=2)
    run([Make(), Save(tmp_path), fail], tmp_path, 6, 100, workers=2, retries=2)
    assert all_there(tmp_path, 6) and fail.attempts() == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1, 5: 1}
    assert read_bar(tmp_path / "logs") == 6 * TASK_BYTES
    with pytest.raises(ModelwrightError, match=rf"task 1 of 6 failed: its process {why}; its log"):
        run([Make(), Fail(1, how, tmp_path)], tmp_path, 6, workers=2, retries=0, logs="logs2")


@pytest.mark.parametrize("workers", [1, 2])
def test_our_own_error_comes_through_at_once_as_it_is(tmp_path, workers):
    fail = Fail(1, "error", tmp_path)
    with pytest.raises(ModelwrightError, match=r"^the file is at fault$") as error:
        run([Make(), fail], tmp_path, 3, workers=workers, retries=5)
    assert error.value.key == "source.paths" and fail.attempts()[1] == 1


def test_finished_tasks_are_not_run_again(tmp_path):
    fail = Fail(3, "raise", tmp_path, times=2)
    steps = [Make(), Save(tmp_path), fail]
    with pytest.raises(ModelwrightError, match="task 3"):
        run(steps, tmp_path, 6, workers=1)
    assert fail.attempts() == {0: 1, 1: 1, 2: 1, 3: 2}
    run(steps, tmp_path, 6, 100, workers=2)
    assert all_there(tmp_path, 6) and fail.attempts() == {0: 1, 1: 1, 2: 1, 3: 3, 4: 1, 5: 1}
    assert read_bar(tmp_path / "logs") == 6 * TASK_BYTES


def test_a_task_without_a_completion_mark_is_an_error(tmp_path, monkeypatch):
    mark = Tasks.mark_rank_as_completed
    monkeypatch.setattr(Tasks, "mark_rank_as_completed", lambda self, rank: rank == 1 or mark(self, rank))
    with pytest.raises(ModelwrightError, match=r"task 1 of 3 failed: it ended without a completion mark \(tried 2 times\)"):
        run([Make(), Save(tmp_path)], tmp_path, 3, workers=1)


def test_workers_end_with_the_process_that_leads(tmp_path):
    """SIGKILL leaves it no time to end them; they would write into the files of the run that goes on."""
    code = f"""
import pathlib, sys
sys.path.insert(0, {str(HERE)!r})
from executor_steps import *
from modelwright_plugins.executor.local import Local
folder = pathlib.Path({str(tmp_path)!r})
Local(workers=2).run([Make(), Fail(0, "wait", folder), Save(folder)], tasks=2, logs=folder / "logs", title="t", total=None)
"""
    leader = subprocess.Popen([sys.executable, "-c", code])
    try:
        _until(lambda: (tmp_path / "attempt_0_0").exists() and (tmp_path / "attempt_0_0").read_text())
        worker = int((tmp_path / "attempt_0_0").read_text())
    finally:
        leader.kill()
        leader.wait()
    _until(lambda: not _alive(worker))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def _until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_numbers_of_workers_and_tasks():
    with pytest.raises(ValueError, match="at least 1"):
        Local(workers=0)
    with pytest.raises(ValueError, match="retries is -1"):
        Local(retries=-1)


def test_the_bar_counts_texts_as_they_came(tmp_path):
    """Its total is of the source; a filter that cuts texts would leave it far from its end."""
    logs = tmp_path / "logs"
    Local(workers=1).run([Make(), Cut()], tasks=2, logs=logs, title="try", total=2 * TASK_BYTES)
    assert read_bar(logs) == 2 * TASK_BYTES


class Far(Places):
    """Places whose tasks' marks are seen here a while after they have ended, as over a network's file system; but for the last one's."""

    grace = 0.5

    def __init__(self, tasks, failure):
        self.tasks, self.failure, self.submitted = tasks, failure, []

    def submit(self, ranks):
        self.submitted.append([*ranks])

    def ended(self):
        ranks = self.submitted[-1]
        late = threading.Timer(0.1, lambda: [self.tasks.mark_rank_as_completed(rank) for rank in ranks if rank < 2 or len(ranks) == 1])
        late.start()
        return [(rank, self.failure) for rank in ranks]

    def close(self): ...


@pytest.mark.parametrize("failure", [None, Failure("it is gone from the queue", guessed=True)])
def test_a_mark_that_is_seen_late_is_no_failure(tmp_path, monkeypatch, failure):
    monkeypatch.setattr("modelwright_plugins.executor._tasks.LOOK", 0.05)
    tasks = Tasks([Make()], 3, tmp_path)
    tasks.run(there := Far(tasks, failure), retries=1)
    assert there.submitted == [[0, 1, 2], [2]]
    assert "task 2 failed, attempt 1" in (log := (tmp_path / "executor.log").read_text()) and log.count("failed") == 1


def test_a_failure_that_is_known_is_not_waited_for(tmp_path, monkeypatch):
    tasks = Tasks([Make()], 3, tmp_path)
    monkeypatch.setattr(Far, "grace", 60.0)
    with pytest.raises(ModelwrightError, match="task 0 of 3 failed: no good"):
        tasks.run(Far(tasks, Failure("no good")), retries=0)
