"""Parquet: tables in columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.source._rows import Columns

ROWS, BUFFER, PACKED = 256, 1 << 20, 2  # rows at once; bytes read at once; text packs about so well


@dataclass(frozen=True, kw_only=True)
class Parquet(Source):
    """Parquet files: a document of each row, with the other columns as metadata."""

    paths: list[str]  # files, folders (their .parquet) or globs
    text_key: str = "text"  # the column that holds a document's text
    id_key: str = "id"  # the column that holds its id; without one: the file's name and the row
    group_key: str | None = None  # the column never split between training and held-out data; none: the file
    columns: list[str] | None = None  # kept as metadata; none: all that JSON can hold

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, (".parquet",), "source.paths")
        with suppress(*_damage()):  # a broken file is told when it is read
            if wrong := self._columns().missing(_open(paths[0]).schema_arrow):
                raise ModelwrightError(f"source.{wrong[0]}: {paths[0]} has {wrong[1]}", f"source.{wrong[0]}")
        return [SourceFile(path=p, name=str(p), bytes=p.stat().st_size * PACKED, group=str(p)) for p in paths]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        """A row group is a unit: where one is damaged, reading goes on at the next."""
        from modelwright_plugins.source._rows import documents, told

        with file.path.open("rb"):
            pass  # an OSError of the file itself, which Arrow's may not be
        try:
            table = _open(file.path)
            schema, groups = table.schema_arrow, [table.metadata.row_group(index).num_rows for index in range(table.num_row_groups)]
        except _damage() as error:
            yield BadRecord(f"no Parquet file: {told(error)}")
            return
        columns = self._columns()
        with table:
            if wrong := columns.missing(schema):
                yield BadRecord(wrong[1])
                return
            wanted, before = columns.wanted(schema), 0
            for index, count in enumerate(groups):
                first = before + 1
                try:
                    for batch in table.iter_batches(ROWS, row_groups=[index], columns=wanted, use_threads=False):
                        yield from documents(batch, first, file, columns)
                        first += batch.num_rows
                except _damage() as error:
                    yield BadRecord(f"a damaged row group: {told(error)}", row=first)
                before += count

    def _columns(self) -> Columns:
        from modelwright_plugins.source._rows import Columns

        return Columns(self.text_key, self.id_key, self.group_key, self.columns)


def _open(path: Path) -> Any:
    """Reads a bit of a column at once, and checks pages that have checksums."""
    from pyarrow.parquet import ParquetFile

    return ParquetFile(path, pre_buffer=False, buffer_size=BUFFER, page_checksum_verification=True)


def _damage() -> tuple[type[Exception], ...]:
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError)
