"""What every deduper shares: sign documents, compare all signatures, remove what repeats. Each is a datatrove step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.deduper import Deduper

BLOCK = 2_000_000  # characters signed at a time


class Sign(PipelineStep):
    """Writes the signatures of this task's documents to `<rank>.npy`; documents pass unchanged."""

    type = "DEDUP"

    def __init__(self, deduper: Deduper, folder: Path) -> None:
        self.name = f"{type(deduper).__name__} signatures"
        super().__init__()
        self.deduper, self.folder = deduper, folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        signatures: list[Any] = []
        texts: list[str] = []
        size = 0
        for document in data:
            texts.append(document.text)
            size += len(document.text)
            yield document
            if size > BLOCK:
                signatures.append(self.deduper.sign(texts))
                texts, size = [], 0
        signatures.append(self.deduper.sign(texts))
        np.save(self.folder / f"{rank:05d}.npy", np.concatenate(signatures))


class Match(PipelineStep):
    """One task: from the signatures of all, `first.npy` (the number of the document that stands for each) and `offsets.npy` (the
    number of each task's first document)."""

    type = "DEDUP"

    def __init__(self, deduper: Deduper, folder: Path) -> None:
        self.name = f"{type(deduper).__name__} matches"
        super().__init__()
        self.deduper, self.folder = deduper, folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        parts = [np.load(file, mmap_mode="r") for file in sorted(self.folder.glob("[0-9]*.npy"))]
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        everything = np.lib.format.open_memmap(
            self.folder / "all.npy", mode="w+", dtype=parts[0].dtype, shape=(int(offsets[-1]), *parts[0].shape[1:])
        )
        for part, begin in zip(parts, offsets[:-1], strict=True):
            everything[begin : begin + len(part)] = part
        np.save(self.folder / "first.npy", self.deduper.first(everything))
        np.save(self.folder / "offsets.npy", offsets)


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
