"""The datatrove reader over any source: shares files out to tasks, and quarantines what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from modelwright_plugins.source import BadRecord, utf8

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.source import Source, SourceFile


def share(files: Sequence[SourceFile], rank: int, world_size: int) -> list[SourceFile]:
    """The files of one task: neighbours, about an equal part of the bytes. Going through ranks in order gives `files` in order,
    so that what comes out does not depend on how many tasks there are."""
    total = sum(max(file.bytes, 1) for file in files)
    mine, before = [], 0
    for file in files:
        size = max(file.bytes, 1)
        if (2 * before + size) * world_size // (2 * total) == rank:  # by the middle of the file
            mine.append(file)
        before += size
    return mine


class Reader(PipelineStep):
    """Yields the documents of this task's files; writes what cannot be read to `quarantine/<rank>.jsonl`."""

    type = "READER"

    def __init__(self, source: Source, files: Sequence[SourceFile], quarantine: Path) -> None:
        self.name = type(source).__name__
        super().__init__()
        self.source, self.files, self.quarantine = source, files, quarantine

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (self.quarantine / f"{rank:05d}.jsonl").open("w", encoding="utf-8") as bad:

            def put(file: SourceFile, record: BadRecord) -> None:
                self.stat_update("quarantined")
                where = {key: value for key, value in asdict(record).items() if value is not None and key != "reason"}
                bad.write(json.dumps({"file": utf8(str(file.path)), **where, "reason": record.reason}) + "\n")

            for file in share(self.files, rank, world_size):
                try:
                    for item in self.source.read(file):
                        if isinstance(item, BadRecord):
                            put(file, item)
                        else:
                            self.stat_update("documents")
                            yield item
                except OSError as error:
                    put(file, BadRecord(error.strerror or str(error) or type(error).__name__))
                except (EOFError, UnicodeError) as error:
                    put(file, BadRecord(str(error)))
