"""Tables in CSV files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.api import ModelwrightError, nearest
from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True, kw_only=True)
class Table(Source):
    """Rows of CSV files in UTF-8: one column is the text."""

    folder: Path  # the folder with *.csv files; each begins with a line of column names
    column: str = "text"  # the column that holds a document's text
    delimiter: str = ","  # between columns

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ValueError(f"delimiter is {self.delimiter!r}; it is one character")

    def files(self) -> list[SourceFile]:
        if not self.folder.is_dir():
            raise ModelwrightError(f"source.folder: {self.folder} is no folder", "source.folder")
        found = [
            SourceFile(path=p, name=p.name, bytes=p.stat().st_size, group=p.name)  # a file's rows stay together when some are held out
            for p in sorted(self.folder.glob("*.csv"))
        ]
        if not found:
            raise ModelwrightError(f"source.folder: there is no *.csv in {self.folder}", "source.folder")
        return found

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from datatrove.data import Document

        csv.field_size_limit(sys.maxsize)
        with file.path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter=self.delimiter)
            try:
                if self.column not in (columns := rows.fieldnames or []):
                    yield BadRecord(f"there is no column {self.column!r}{nearest(self.column, columns)}", 1)
                    return
                for row in rows:
                    if text := (row[self.column] or "").strip():
                        yield Document(text=text, id=f"{file.name}:{rows.line_num}", metadata={"group": file.group})
                    else:
                        yield BadRecord("no text", rows.line_num)
            except csv.Error as error:
                yield BadRecord(str(error), rows.line_num)
