"""JSON Lines: one JSON object a line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document

PACKED = 4  # text packs about this well; only for shares of work and the progress bar


@dataclass(frozen=True, kw_only=True)
class Jsonl(Source):
    """JSON Lines files, plain, .gz or .zst: one object with a text a line."""

    paths: list[str]  # files, folders or globs
    text_key: str = "text"  # the key that holds a document's text
    id_key: str = "id"  # the key that holds its id; without one: the file's name and the line
    group_key: str | None = None  # the key, also within "metadata", never split between training and held-out data; none: the file

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, (".jsonl", ".jsonl.gz", ".jsonl.zst"), "source.paths")
        packed = (".gz", ".zst")
        return [
            SourceFile(path=p, name=str(p), bytes=p.stat().st_size * (PACKED if p.suffix in packed else 1), group=str(p)) for p in paths
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        number = 0
        try:
            for number, line in enumerate(_lines(file.path), 1):
                if line.strip():
                    yield self._document(line, file, number)
        except (EOFError, zlib.error) as error:
            yield BadRecord(f"the compressed file is damaged: {error}", number + 1)

    def _document(self, line: bytes, file: SourceFile, number: int) -> Document | BadRecord:
        import orjson
        from datatrove.data import Document

        try:
            record = orjson.loads(line)  # strict: bad UTF-8, NaN and lone surrogates are errors
        except orjson.JSONDecodeError as error:
            return BadRecord(f"not JSON: {error}", number)
        if not isinstance(record, dict):
            return BadRecord(f"expected a JSON object, found {type(record).__name__}", number)
        text = record.pop(self.text_key, None)
        if not isinstance(text, str) or not text.strip():
            found = "no" if text is None else "an empty" if isinstance(text, str) else f"a {type(text).__name__} as"
            return BadRecord(f"{found} text under key {self.text_key!r}", number)
        name = record.pop(self.id_key, None)
        inner = record.pop("metadata", None)
        metadata: dict[str, Any] = record | inner if isinstance(inner, dict) else record
        if self.group_key is None:
            metadata["group"] = file.group
        elif metadata.get(self.group_key) is None:
            return BadRecord(f"no group under key {self.group_key!r}", number)
        else:
            metadata["group"] = str(metadata[self.group_key])
        return Document(text=text, id=f"{file.name}:{number}" if name is None else str(name), metadata=metadata)


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix == ".zst":
        yield from _zstd_lines(path)
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        yield from lines


def _zstd_lines(path: Path) -> Iterator[bytes]:
    """zstandard's own reader takes a file that was cut short for a whole one."""
    import zstandard

    frame, rest = None, b""
    with path.open("rb") as packed:
        while chunk := packed.read(1 << 20):
            while chunk:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                try:
                    rest += frame.decompress(chunk)
                except zstandard.ZstdError as error:
                    raise EOFError(str(error)) from error
                chunk, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
            *lines, rest = rest.split(b"\n")
            yield from lines
    if rest:
        yield rest
    if frame is not None:
        raise EOFError("it ends within a Zstandard frame")
