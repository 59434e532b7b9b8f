"""Sources: where raw documents come from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True)
class SourceFile:
    """A file to read."""

    path: Path  # where it is on this machine
    name: str  # what its documents' ids begin with; the same on every machine where possible
    bytes: int  # about how many bytes of text it holds: for equal shares of work and the progress bar
    group: str = ""  # `metadata["group"]` of its documents, where the whole file belongs to one group

    def __post_init__(self) -> None:
        for field in ("name", "group"):
            object.__setattr__(self, field, utf8(getattr(self, field)))


def utf8(name: str) -> str:
    """A file's name as text: bytes of it that are not UTF-8, which Python has as lone surrogates, are written out: caf\\udce9.txt."""
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class BadRecord:
    """What a source could not read: quarantined and counted, and the run goes on."""

    reason: str  # in a few words; records are counted by it
    line: int | None = None  # from 1
    row: int | None = None  # of a table, from 1
    offset: int | None = None  # bytes from the beginning of the file as it is on disk, where it has neither


class Source(Component, ABC):
    """Where raw documents come from: files, and how to read one. Sharing them out to tasks and quarantine are done for it."""

    def fingerprint(self) -> str:
        """A hash of the names, sizes and times of all files."""
        found = [f"{file.name} {file.group} {file.bytes} {file.path.stat().st_mtime_ns}" for file in self.files()]
        return hashlib.sha256("\n".join(found).encode("utf-8", "surrogatepass")).hexdigest()

    def example_kind(self) -> str | None:
        """Which kind of examples its documents hold, where a look at the first can tell; None: none, or it can't. What is wrong with
        the files may be raised, as by `files` and `read`."""
        return None

    @abstractmethod
    def files(self) -> list[SourceFile]:
        """What to read, in the order in which documents come out. ModelwrightError: a path that does not exist."""

    @abstractmethod
    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        """The file's documents in order, each with `metadata["group"]`: the key that is never split between training and held-out
        data. An OSError, EOFError or UnicodeError on the way quarantines the rest of the file."""
