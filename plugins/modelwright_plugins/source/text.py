"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True, kw_only=True)
class Text(Source):
    """Plain text files in UTF-8: each is one document, or is cut into pieces."""

    paths: list[str]  # files, folders (their .txt, .md and .rst) or globs
    piece_bytes: int | None = None  # cut at blank lines into documents of at least so many bytes; none: a file is a document
    group: Literal["file", "folder", "document"] = "file"  # what is never split between training and held-out data

    def __post_init__(self) -> None:
        if self.piece_bytes is not None and self.piece_bytes < 1:
            raise ValueError(f"piece_bytes={self.piece_bytes}: expected at least 1, or null")

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, (".txt", ".md", ".rst"), "source.paths")
        return [
            SourceFile(path=p, name=str(p), bytes=p.stat().st_size, group=str(p.parent if self.group == "folder" else p)) for p in paths
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from datatrove.data import Document

        text = file.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        if not text.strip():
            yield BadRecord("no text")
        elif self.piece_bytes is None:
            yield Document(text=text, id=file.name, metadata={"group": file.group})
        else:
            for number, piece in enumerate(_pieces(text, self.piece_bytes), 1):
                name = f"{file.name}:{number}"
                yield Document(text=piece, id=name, metadata={"group": name if self.group == "document" else file.group})


def _pieces(text: str, size: int) -> Iterator[str]:
    """Whole paragraphs, until there are `size` bytes of them; the last piece may be shorter."""
    piece: list[str] = []
    left = size
    for paragraph in text.split("\n\n"):
        piece.append(paragraph)
        left -= len(paragraph.encode()) + 2
        if left <= 0:
            yield "\n\n".join(piece)
            piece, left = [], size
    if any(paragraph.strip() for paragraph in piece):
        yield "\n\n".join(piece)
