"""Datasets that Hugging Face's `datasets` saved on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.source._rows import Columns


@dataclass(frozen=True, kw_only=True)
class HuggingFace(Source):
    """Folders that `save_to_disk` of Hugging Face's datasets wrote, of a Dataset or a DatasetDict: a document of each row."""

    paths: list[str]  # the folders
    splits: list[str] | None = None  # of a DatasetDict, in this order; none: all
    text_key: str = "text"  # the column that holds a document's text
    id_key: str = "id"  # the column that holds its id; without one: the file's name and the row
    group_key: str | None = None  # the column never split between training and held-out data; none: the file
    columns: list[str] | None = None  # kept as metadata; none: all that JSON can hold

    def files(self) -> list[SourceFile]:
        if not self.paths:
            raise ModelwrightError("source.paths: no folder given, for example source.paths=[data/my_dataset]", "source.paths")
        found = list(dict.fromkeys(file for path in self.paths for part in self._parts(Path(path).expanduser()) for file in _arrow(part)))
        if found:
            try:
                with _stream(found[0]) as table:
                    wrong = self._columns().missing(table.schema)
            except _damage():
                wrong = None  # told when it is read
            if wrong:
                raise ModelwrightError(f"source.{wrong[0]}: {found[0]} has {wrong[1]}", f"source.{wrong[0]}")
        return [SourceFile(path=p, name=str(p), bytes=p.stat().st_size, group=str(p)) for p in found]

    def _parts(self, folder: Path) -> list[Path]:
        """The folders of one Dataset each."""
        if (folder / "state.json").is_file():
            if self.splits is not None:
                raise ModelwrightError(f"source.splits: {folder} is a Dataset, which has no splits", "source.splits")
            return [folder]
        if (told := folder / "dataset_dict.json").is_file():
            there = list(_json(told)["splits"])
            for split in self.splits or ():
                if split not in there:
                    raise ModelwrightError(f"source.splits: {folder} has no split {split!r}{nearest(split, there)}", "source.splits")
            return [folder / split for split in (there if self.splits is None else self.splits)]
        if not folder.is_dir():
            near = nearest(folder.name, [p.name for p in folder.parent.iterdir()]) if folder.parent.is_dir() else ""
            raise ModelwrightError(f"source.paths: there is no folder {folder}{near}", "source.paths")
        why = "has no state.json or dataset_dict.json, so save_to_disk did not write it"
        if next(folder.rglob("*.parquet"), None):
            why += f"; its Parquet files are read by source=parquet source.paths=[{folder}]"
        raise ModelwrightError(f"source.paths: {folder} {why}", "source.paths")

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        """Arrow's stream has no marks to go on at: what is behind damage is lost, unless a batch is whole and its content alone wrong."""
        from modelwright_plugins.source._rows import documents, told

        first, columns = 1, self._columns()
        with file.path.open("rb"):
            pass  # an OSError of the file itself, which Arrow's may not be
        try:
            with _stream(file.path) as table:
                if wrong := columns.missing(table.schema):
                    yield BadRecord(wrong[1])
                    return
                wanted = columns.wanted(table.schema)
                for batch in table:
                    try:
                        batch.validate(full=True)  # Arrow trusts what it reads: a wrong number would end this process
                    except _damage() as error:
                        yield BadRecord(f"a damaged batch of {batch.num_rows} rows: {told(error)}", row=first)
                    else:
                        yield from documents(batch.select(wanted), first, file, columns)
                    first += batch.num_rows
        except _damage() as error:
            yield BadRecord(f"a damaged Arrow file: {told(error)}", row=first)

    def _columns(self) -> Columns:
        from modelwright_plugins.source._rows import Columns

        return Columns(self.text_key, self.id_key, self.group_key, self.columns)


def _arrow(folder: Path) -> list[Path]:
    return [folder / str(part["filename"]) for part in _json(folder / "state.json")["_data_files"]]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelwrightError(f"source.paths: {path} can't be read: {error}", "source.paths") from error


def _stream(path: Path) -> Any:
    import pyarrow

    return pyarrow.ipc.open_stream(pyarrow.OSFile(str(path)))


def _damage() -> tuple[type[Exception], ...]:
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError)
