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

    from modelwright_plugins.deduper import Deduper
    from modelwright_plugins.source import Source

BLOCK = 2_000_000  # characters signed at a time


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
        signatures: list[Any] = []
        texts: list[str] = []
        size = 0
        for document in documents:
            texts.append(document.text)
            size += len(document.text)
            yield document
            if size > BLOCK:
                signatures.append(self.deduper.sign(texts))
                texts, size = [], 0
        signatures.append(self.deduper.sign(texts))
        np.save(self.folder / f"{name}.npy", np.concatenate(signatures))


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
        everything = np.lib.format.open_memmap(
            self.folder / "all.npy", mode="w+", dtype=parts[0].dtype, shape=(int(offsets[-1]), *parts[0].shape[1:])
        )
        for part, begin in zip(parts, offsets[:-1], strict=True):
            everything[begin : begin + len(part)] = part
        first = self.deduper.first(everything)
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
