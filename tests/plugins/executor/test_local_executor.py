"""The local executor: every task completes, or the failure is told."""

import os
import signal
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from modelwright.errors import ModelwrightError
from modelwright_plugins.executor._local import LocalTasks, Meter
from modelwright_plugins.executor.local import Local


class Make(PipelineStep):
    """Three documents a task."""

    type, name = "READER", "make"

    def run(self, data=None, rank=0, world_size=1):
        for i in range(3):
            yield Document(text=f"{rank}-{i} é", id=f"{rank}-{i}")


class Fail(PipelineStep):
    type, name = "TEST", "fail"

    def __init__(self, rank, how):
        super().__init__()
        self.rank, self.how = rank, how

    def run(self, data, rank=0, world_size=1):
        for document in data:
            if rank == self.rank and self.how == "raise":
                raise ValueError(f"no good: {document.id}")
            if rank == self.rank and self.how == "error":
                raise ModelwrightError("the file is at fault")
            if rank == self.rank and self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            yield document


class Save(PipelineStep):
    type, name = "WRITER", "save"

    def __init__(self, folder):
        super().__init__()
        self.folder, self.used = folder, 0

    def run(self, data, rank=0, world_size=1):
        self.used += 1
        with Path(self.folder, f"{rank}.txt").open("w") as out:
            for document in data:
                out.write(f"{document.id} {self.used}\n")
                yield document


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_every_task_with_steps_of_its_own_and_logs_to_files(tmp_path, workers, capfd):
    Local(workers=workers).run([Make(), Save(tmp_path)], tasks=5, logs=tmp_path / "logs", title="try", total=100)
    for rank in range(5):
        assert (tmp_path / f"{rank}.txt").read_text() == "".join(f"{rank}-{i} 1\n" for i in range(3))
        assert "Processing done" in (tmp_path / f"logs/logs/task_{rank:05d}.log").read_text()
    out, err = capfd.readouterr()
    assert out == "" and "try" in err and "INFO" not in err and "SUCCESS" not in err
    meter = Meter(tmp_path / "logs/bytes.bin")
    assert meter.read() == 5 * 3 * len("0-0 é".encode())
    assert '"total": 15' in (tmp_path / "logs/stats.json").read_text() or (tmp_path / "logs/stats.json").stat().st_size > 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_fails_is_named_with_its_log(tmp_path, workers, capfd):
    with pytest.raises(ModelwrightError, match=r"task 2 of 4 failed: ValueError: no good: 2-0; its log: .*task_00002\.log") as error:
        Local(workers=workers).run([Make(), Fail(2, "raise")], tasks=4, logs=tmp_path / "logs", title="try", total=None)
    assert "\n" not in str(error.value)
    assert "ValueError" in (tmp_path / "logs/logs/task_00002.log").read_text()
    assert "Traceback" not in capfd.readouterr().err


def test_our_own_error_comes_through_as_it_is(tmp_path):
    with pytest.raises(ModelwrightError, match=r"^the file is at fault$"):
        Local(workers=2).run([Make(), Fail(1, "error")], tasks=3, logs=tmp_path / "logs", title="try", total=None)


def test_a_killed_worker_is_told(tmp_path):
    with pytest.raises(ModelwrightError, match="a worker process was killed"):
        Local(workers=2).run([Make(), Fail(1, "kill")], tasks=6, logs=tmp_path / "logs", title="try", total=None)


def test_a_task_without_a_completion_mark_is_an_error(tmp_path, monkeypatch):
    mark = LocalTasks.mark_rank_as_completed
    monkeypatch.setattr(LocalTasks, "mark_rank_as_completed", lambda self, rank: rank == 1 or mark(self, rank))
    with pytest.raises(ModelwrightError, match="task 1 of 3 failed: it left no completion mark"):
        Local(workers=1).run([Make(), Save(tmp_path)], tasks=3, logs=tmp_path / "logs", title="try", total=None)


def test_numbers_of_workers_and_tasks():
    with pytest.raises(ValueError, match="at least 1"):
        Local(workers=0)
