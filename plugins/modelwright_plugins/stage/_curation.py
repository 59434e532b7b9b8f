"""The datatrove steps of the `curate` stage: counting what each step removes, and documents on disk between passes and at the end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from modelwright_plugins.filter.measured import Measured
from modelwright_plugins.source._turns import readable
from modelwright_plugins.stage._edits import pieces
from modelwright_plugins.stage._lines import line, parsed
from modelwright_plugins.stage._samples import Smallest

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

CUT = 300  # characters of an example
LONG = 100_000  # characters of a dropped document that are kept to be read


@dataclass(frozen=True)
class Kept:
    """How many documents of each step are kept to be looked at."""

    examples: int  # of each reason, cut short; and as many that were edited
    measured: int  # whose statistics are kept, of those that come to a filter
    dropped: int  # whole


@dataclass
class Inside:
    """A document that is in the step."""

    text: str  # as it came
    row: list[Any] | None  # its place in the sample: [whether it was kept, {statistic: value}]


def size(document: Document) -> int:
    return _bytes(document.text)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))  # Python knows at once that a text is ASCII


def _said(document: Document) -> str | None:
    """What the turns of a conversation say, one after the other."""
    turns = document.metadata.get("messages")
    told = [turn.get("content") if isinstance(turn, dict) else None for turn in turns] if isinstance(turns, list) else [None]
    return None if None in told else "\n\n".join(map(str, told))


class Count(PipelineStep):
    """Counts documents and bytes that pass, and with `groups` each group's bytes; writes them to `<place>_<rank>.json` in `folder`.

    With a filter it runs it, and is its exclusion writer: reasons and examples of what is dropped or edited are kept too, a sample of
    what is dropped goes to `<place>_<rank>.dropped`, and a sample of what comes is measured, into `<place>_<rank>.sample`. A conversation
    whose text the filter has edited loses the turns in its metadata, unless they were edited alike: they would hold what was taken out. So
    does an example (`prepare` leaves it out, and counts it)."""

    def __init__(self, folder: Path, place: int, kept: Kept, step: BaseFilter | None = None, *, groups: bool = False) -> None:
        self.type, self.name = "COUNT", "documents" if step is None else step.name
        super().__init__()
        self.folder, self.place, self.kept, self.step = folder, place, kept, step
        self.documents = self.bytes = 0
        self.groups: dict[str, int] | None = {} if groups else None  # bytes of each; a group may be a page, so that there are as many
        self.reasons: dict[str, int] = {}
        self.examples: list[dict[str, str]] = []
        self.inside: dict[str, list[Inside]] = {}  # by id; a step that works in batches has several, and ids need not be unique
        self.edited = self.edited_bytes = 0
        self.edits, self.dropped = Smallest(kept.examples), Smallest(kept.dropped)
        self.sample = Smallest(kept.measured if isinstance(step, Measured) else 0)

    def __enter__(self) -> Count:
        return self

    def __exit__(self, *error: object) -> None: ...

    def write(self, document: Document, rank: int = 0) -> None:
        text = self._leaves(document, False)
        reason = str(document.metadata.get("filter_reason", "dropped"))
        self.reasons[reason] = count = self.reasons.get(reason, 0) + 1
        if count <= self.kept.examples:
            self.examples.append({"id": document.id, "reason": reason, "text": text[:CUT]})
        if key := self.dropped.key(document.id, text):
            metadata = {name: value for name, value in document.metadata.items() if name != "filter_reason"}
            self.dropped.put(key, {"id": document.id, "reason": reason, "text": text[:LONG], "metadata": metadata})

    def _enter(self, data: Any) -> Iterator[Document]:
        for document in data:
            entry = Inside(document.text, None)
            if isinstance(self.step, Measured) and (key := self.sample.key(document.id, document.text)):
                values = {name: float(value) for name, value in self.step.measure(document).items()}
                entry.row = [False, {name: value for name, value in values.items() if isfinite(value)}]
                self.sample.put(key, entry.row)
            self.inside.setdefault(document.id, []).append(entry)
            yield document

    def _leaves(self, document: Document, kept: bool) -> str:
        """The text that the document had when it came."""
        if document.id not in self.inside:  # the step made it
            return document.text
        entries = self.inside[document.id]
        entry = entries.pop(0)
        if not entries:
            del self.inside[document.id]
        if entry.row is not None:
            entry.row[0] = kept
        return entry.text

    def _edit(self, document: Document, before: str) -> None:
        if "messages" in document.metadata and document.text != _said(document):
            document.metadata.pop("messages")
        if "example" in document.metadata and document.text != readable(document.metadata["example"]):
            document.metadata.pop("example")
        self.edited += 1
        self.edited_bytes += _bytes(before) - size(document)
        if key := self.edits.key(document.id, before):
            self.edits.put(key, (document.id, before, document.text))

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if self.step is not None:
            self.step.exclusion_writer = self
            self.stats = self.step.stats
            self.sample.learn(self.folder, f"{self.place:02d}")
            data = self.step.run(self._enter(data), rank, world_size)
        for document in data:
            before = self._leaves(document, True)
            if document.text != before:
                self._edit(document, before)
            here, group = size(document), document.metadata["group"]
            self.documents += 1
            self.bytes += here
            if self.groups is not None:
                self.groups[group] = self.groups.get(group, 0) + here
            yield document
        self._save(rank)

    def _save(self, rank: int) -> None:
        sample = self.sample.found()
        bounds = self.step.bounds() if isinstance(self.step, Measured) and sample else {}
        found = {
            "documents": self.documents,
            "bytes": self.bytes,
            "groups": self.groups,
            "dropped": self.reasons,
            "examples": self.examples,
            "edited": self.edited,
            "edited_bytes": self.edited_bytes,
            "edits": [(key, {"id": name, "pieces": pieces(before, after)}) for key, (name, before, after) in self.edits.found()],
            "bounds": {name: [bound.least, bound.most] for name, bound in bounds.items()},
        }
        place = self.folder / f"{self.place:02d}_{rank:05d}.json"
        place.write_text(json.dumps(found))
        if sample:
            self.sample.teach(place.with_suffix(".hashes"))
        for suffix, items in ((".sample", sample), (".dropped", self.dropped.found())):
            with place.with_suffix(suffix).open("w") as out:
                out.writelines(json.dumps(item, default=str) + "\n" for item in items)


class Store(PipelineStep):
    """Documents between two passes, one file a task: plain JSON lines."""

    type, name = "WRITER", "between passes"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (self.folder / f"{rank:05d}.jsonl").open("wb") as out:
            for document in data:
                out.write(line([document.text, document.id, document.metadata]))
                yield document


class Load(PipelineStep):
    """What `Store` wrote."""

    type, name = "READER", "between passes"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with (self.folder / f"{rank:05d}.jsonl").open("rb") as lines:
            for written in lines:
                text, name, metadata = parsed(written)
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
                out.write(line({"text": document.text, "id": document.id, "metadata": document.metadata}))
                yield document
