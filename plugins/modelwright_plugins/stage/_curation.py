"""The datatrove steps of the `curate` stage: counting what each step removes, and documents on disk between passes and at the end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

CUT = 300  # characters of an example


def size(document: Document) -> int:
    return len(document.text.encode("utf-8", "surrogatepass"))


def _said(document: Document) -> str | None:
    """What the turns of a conversation say, one after the other."""
    turns = document.metadata.get("messages")
    told = [turn.get("content") if isinstance(turn, dict) else None for turn in turns] if isinstance(turns, list) else [None]
    return None if None in told else "\n\n".join(map(str, told))


class Count(PipelineStep):
    """Counts documents and bytes that pass, and each group's bytes; writes them to `<place>_<rank>.json` in `folder`.

    With a filter it runs it, and is its exclusion writer: reasons and examples of what is dropped are counted too. A conversation whose
    text the filter has edited loses the turns in its metadata, unless they were edited alike: they would hold what was taken out."""

    def __init__(self, folder: Path, place: int, examples: int, step: BaseFilter | None = None) -> None:
        self.type, self.name = "COUNT", "documents" if step is None else step.name
        super().__init__()
        self.folder, self.place, self.examples, self.step = folder, place, examples, step
        self.dropped: dict[str, int] = {}
        self.kept_examples: list[dict[str, str]] = []
        self.talks: dict[str, str] = {}  # text of conversations that are in the filter, by their ids

    def __enter__(self) -> Count:
        return self

    def __exit__(self, *error: object) -> None: ...

    def write(self, document: Document, rank: int = 0) -> None:
        self.talks.pop(document.id, None)
        reason = str(document.metadata.get("filter_reason", "dropped"))
        self.dropped[reason] = count = self.dropped.get(reason, 0) + 1
        if count <= self.examples:
            self.kept_examples.append({"id": document.id, "reason": reason, "text": document.text[:CUT]})

    def _seen(self, data: Any) -> Iterator[Document]:
        for document in data:
            if "messages" in document.metadata:
                self.talks[document.id] = document.text
            yield document

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = 0
        groups: dict[str, int] = {}
        if self.step is not None:
            self.step.exclusion_writer = self
            self.stats = self.step.stats
            data = self.step.run(self._seen(data), rank, world_size)
        for document in data:
            before = self.talks.pop(document.id, document.text)
            if document.text not in (before, _said(document)):
                document.metadata.pop("messages", None)
            documents += 1
            group = document.metadata["group"]
            groups[group] = groups.get(group, 0) + size(document)
            yield document
        found = {"documents": documents, "groups": groups, "dropped": self.dropped, "examples": self.kept_examples}
        (self.folder / f"{self.place:02d}_{rank:05d}.json").write_bytes(orjson.dumps(found))


class Store(PipelineStep):
    """Documents between two passes, one file a task: plain JSON lines."""

    type, name = "WRITER", "between passes"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (self.folder / f"{rank:05d}.jsonl").open("wb") as out:
            for document in data:
                out.write(orjson.dumps([document.text, document.id, document.metadata]) + b"\n")
                yield document


class Load(PipelineStep):
    """What `Store` wrote."""

    type, name = "READER", "between passes"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (self.folder / f"{rank:05d}.jsonl").open("rb") as lines:
            for line in lines:
                text, name, metadata = orjson.loads(line)
                yield Document(text=text, id=name, metadata=metadata)


class Write(PipelineStep):
    """The `Documents` artifact's files, the same bits for the same documents (datatrove's writer puts the time into each file)."""

    type, name = "WRITER", "documents"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (
            (self.folder / f"{rank:05d}.jsonl.gz").open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as out,
        ):
            for document in data:
                line = {"text": document.text, "id": document.id, "metadata": document.metadata}
                out.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
                yield document
