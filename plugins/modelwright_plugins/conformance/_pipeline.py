"""The datatrove steps that an executor is checked with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep


class Make(PipelineStep):
    """Three documents a task."""

    type, name = "READER", "make"

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for i in range(3):
            yield Document(text=f"{rank} of {world_size}: {i}", id=f"{rank}-{i}")


class Save(PipelineStep):
    """Adds a line for each document to a file of the task's own; counts how often this object was used."""

    type, name = "WRITER", "save"

    def __init__(self, folder: Path, failing: int | None = None) -> None:
        super().__init__()
        self.folder, self.failing, self.used = folder, failing, 0

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.used += 1
        with (self.folder / f"{rank}.txt").open("a") as out:
            for document in data:
                if rank == self.failing:
                    raise ValueError("this document is no good")
                out.write(f"{document.id} {world_size} {self.used}\n")
                yield document


class FailOnce(PipelineStep):
    """Raises in one task, before any document passes, unless `mark` says that it has done so."""

    type, name = "TEST", "fail once"

    def __init__(self, mark: Path, rank: int) -> None:
        super().__init__()
        self.mark, self.rank = mark, rank

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if rank == self.rank and not self.mark.exists():
            self.mark.touch()
            raise ValueError("this is the first time")
        yield from data
