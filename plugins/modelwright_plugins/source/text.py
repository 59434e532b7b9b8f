"""Plain text: one document a file."""

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
    """Plain text files in UTF-8: each is one document."""

    paths: list[str]  # files, folders (their .txt, .md and .rst) or globs
    group: Literal["file", "folder"] = "file"  # what is never split between training and held-out data

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, (".txt", ".md", ".rst"), "source.paths")
        return [SourceFile(path=p, name=str(p), bytes=p.stat().st_size, group=str(p if self.group == "file" else p.parent)) for p in paths]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from datatrove.data import Document

        text = file.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        if text.strip():
            yield Document(text=text, id=file.name, metadata={"group": file.group})
        else:
            yield BadRecord("no text")
