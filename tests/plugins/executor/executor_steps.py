"""Steps that executors are tested with; workers import them from here."""

import os
import signal
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from modelwright.errors import ModelwrightError


class Make(PipelineStep):
    """Three documents a task."""

    type, name = "READER", "make"

    def run(self, data=None, rank=0, world_size=1):
        for i in range(3):
            yield Document(text=f"{rank}-{i} é", id=f"{rank}-{i}")


class Fail(PipelineStep):
    """Task `rank` fails at its second document, `times` times; the first process that comes past puts down its attempt."""

    type, name = "TEST", "fail"

    def __init__(self, rank, how, folder, times=99):
        super().__init__()
        self.rank, self.how, self.folder, self.times = rank, how, folder, times

    def run(self, data, rank=0, world_size=1):
        attempts = len(list(self.folder.glob(f"attempt_{rank}_*")))
        (self.folder / f"attempt_{rank}_{attempts}").write_text(str(os.getpid()))
        for number, document in enumerate(data):
            if number == 1 and rank == self.rank and attempts < self.times:
                if self.how == "raise":
                    raise ValueError(f"no good: {document.id}")
                if self.how == "error":
                    raise ModelwrightError("the file is at fault", "source.paths")
                if self.how == "exit":
                    os._exit(3)
                if self.how == "silent":  # the pipeline ends here, and no mark is left
                    os.kill(os.getpid(), signal.SIGTERM)
                if self.how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if self.how == "wait":
                    time.sleep(300)
            yield document

    def attempts(self):
        """task -> how often it was begun"""
        return {
            rank: len(list(self.folder.glob(f"attempt_{rank}_*"))) for rank in range(20) if (self.folder / f"attempt_{rank}_0").exists()
        }


class Cut(PipelineStep):
    """Leaves nothing of a text."""

    type, name = "TEST", "cut"

    def run(self, data, rank=0, world_size=1):
        for document in data:
            document.text = ""
            yield document


class Slow(PipelineStep):
    """Some seconds for each document."""

    type, name = "TEST", "slow"

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def run(self, data, rank=0, world_size=1):
        for document in data:
            time.sleep(self.seconds)
            yield document


class Save(PipelineStep):
    """A file a task, with what came and how often this object was used."""

    type, name = "WRITER", "save"

    def __init__(self, folder):
        super().__init__()
        self.folder, self.used = folder, 0

    def run(self, data, rank=0, world_size=1):
        self.used += 1
        with Path(self.folder, f"{rank}.txt").open("w", buffering=1) as out:
            for document in data:
                out.write(f"{document.id} {self.used}\n")
                yield document


def all_there(folder, tasks):
    """Whether every task's documents are there, once, from steps that nothing else has used."""
    return all((folder / f"{rank}.txt").read_text() == "".join(f"{rank}-{i} 1\n" for i in range(3)) for rank in range(tasks))


def read_bar(logs):
    from modelwright_plugins.executor._meter import Meter

    return Meter(logs / "bytes").read()


TASK_BYTES = 3 * len("0-0 é".encode())
