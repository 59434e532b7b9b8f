"""What every deduper shares: sign documents, compare all signatures, remove what repeats. Each is a datatrove step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord

if TYPE_CHECKING:
    from datatrove.data import Document
    from numpy.typing import NDArray

    from modelwright_plugins.deduper import Deduper
    from modelwright_plugins.source import Source

BLOCK = 2_000_000  # characters signed at a time
ROWS = 1 << 16  # signatures copied at a time


class Sign(PipelineStep):
    """Writes the signatures of this task's documents to `<rank>.npy`, and those of its share of the files that they are compared
    against to `against_<file>.npy`; documents pass unchanged."""

    type = "DEDUP"

    def __init__(self, deduper: Deduper, folder: Path) -> None:
        self.name = f"{type(deduper).__name__} signatures"
        super().__init__()
        self.deduper, self.folder = deduper, folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for number, source in enumerate(self.deduper.others()):
            if number % world_size == rank:
                for _ in self._signed(_documents(source), f"against_{number:05d}"):
                    pass
        yield from self._signed(data, f"{rank:05d}")

    def _signed(self, documents: Iterable[Document], name: str) -> Iterator[Document]:
        texts: list[str] = []
        size = 0
        with _Rows(self.folder / f"{name}.npy") as rows:
            for document in documents:
                texts.append(document.text)
                size += len(document.text)
                yield document
                if size > BLOCK:
                    rows.write(self.deduper.sign(texts))
                    texts, size = [], 0
            rows.write(self.deduper.sign(texts))


class _Rows:
    """A `.npy` file that grows by rows, so that no task has to have all its signatures in memory."""

    def __init__(self, file: Path) -> None:
        self.file = file.open("wb")
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] = np.dtype(np.uint64)

    def write(self, rows: NDArray[Any]) -> None:
        """The first call, which may have no rows, says of what type and width they are."""
        if not self.shape:
            self.shape, self.dtype = (0, *rows.shape[1:]), rows.dtype
            self._head()
        self.file.write(np.ascontiguousarray(rows).data)
        self.shape = (self.shape[0] + len(rows), *self.shape[1:])

    def _head(self) -> None:
        # numpy leaves room in it for more rows: its length stays
        told = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self.file, told)

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.file.seek(0)
            self._head()
        self.file.close()


def _documents(source: Source) -> Iterator[Document]:
    for file in source.files():
        try:
            for found in source.read(file):
                if isinstance(found, BadRecord):
                    raise ModelwrightError(f"against: {file.path}{f', line {found.line}' if found.line else ''}: {found.reason}")
                yield found
        except (OSError, EOFError, UnicodeError) as error:
            raise ModelwrightError(f"against: {file.path}: {error}") from error


class Match(PipelineStep):
    """One task: from the signatures of all, those of other data first, `first.npy` (the number of the unit that stands for each) and
    `offsets.npy` (the number of each task's first unit)."""

    type = "DEDUP"

    def __init__(self, deduper: Deduper, folder: Path) -> None:
        self.name = f"{type(deduper).__name__} matches"
        super().__init__()
        self.deduper, self.folder = deduper, folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        others = sorted(self.folder.glob("against_*.npy"))
        parts = [np.load(file, mmap_mode="r") for file in [*others, *sorted(self.folder.glob("[0-9]*.npy"))]]
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        with _Rows(self.folder / "all.npy") as rows:
            for part in parts:
                for begin in range(0, max(len(part), 1), ROWS):
                    rows.write(part[begin : begin + ROWS])
        first = self.deduper.first(np.load(self.folder / "all.npy", mmap_mode="r"))
        if before := int(offsets[len(others)]):  # a group that other data is in goes from here, whichever of it would stay
            stand_in = np.arange(len(first))
            stand_in[first[:before][::-1]] = np.arange(before)[::-1]
            first = stand_in[first]
        np.save(self.folder / "first.npy", first)
        np.save(self.folder / "offsets.npy", offsets[len(others) :])


class Remove(BaseFilter):
    """Takes out of this task's documents the units for which others stand, and drops a document of which nothing is left."""

    def __init__(self, deduper: Deduper, folder: Path) -> None:
        self.name = type(deduper).__name__
        super().__init__()
        self.deduper, self.folder = deduper, folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        self.at, end = np.load(self.folder / "offsets.npy")[rank : rank + 2].tolist()
        self.first = np.load(self.folder / "first.npy", mmap_mode="r")
        yield from super().run(data, rank, world_size)
        if self.at != end:
            raise RuntimeError(f"task {rank} read {'more' if self.at > end else 'fewer'} units than it had signed")

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        begin, self.at = self.at, self.at + len(self.deduper.spans(doc.text))
        stand_in = self.first[begin : self.at]
        stays = stand_in == np.arange(begin, begin + len(stand_in))
        if stays.all():
            return True
        left = self.deduper.cut(doc.text, stays)
        if not left.strip():
            return False, self.deduper.reason
        doc.text = left
        doc.metadata.pop("messages", None)  # a conversation's turns, which repeat the text
        return True
