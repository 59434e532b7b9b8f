"""Rows of Arrow tables as documents: what Parquet and Hugging Face's datasets share."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
from datatrove.data import Document

from modelwright.errors import nearest
from modelwright_plugins.source import BadRecord, SourceFile


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    text: str
    id: str
    group: str | None  # None: the file
    kept: Sequence[str] | None  # as metadata; None: all that JSON can hold

    def missing(self, schema: pa.Schema) -> tuple[str, str] | None:
        """Which setting names a column that isn't there, or is no text, and what is wrong in a few words; None: nothing is."""
        for key, name in [("text_key", self.text), ("group_key", self.group), *(("columns", name) for name in self.kept or ())]:
            if name is not None and name not in schema.names:
                return key, f"no column {name!r}{nearest(name, schema.names)}"
        kind = schema.field(self.text).type
        if not _text(kind.value_type if pa.types.is_dictionary(kind) else kind):
            return "text_key", f"{kind}, and no text, in column {self.text!r}"
        return None

    def wanted(self, schema: pa.Schema) -> list[str]:
        """Columns to read; bytes, and types of others than Arrow, are left where they are."""
        plain = [field.name for field in schema if not _bytes(field.type) and not isinstance(field.type, pa.BaseExtensionType)]
        if self.kept is None:
            return plain
        return [name for name in plain if name in {self.text, self.id, self.group, *self.kept}]


def _text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind)
    )


def documents(batch: pa.RecordBatch, first: int, file: SourceFile, columns: Columns) -> Iterator[Document | BadRecord]:
    """A document of each row; `first` is the first row's number in the file, from 1."""
    values = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    for place in range(batch.num_rows):
        number = first + place
        row = {name: column[place] for name, column in values.items()}
        if broken := next((name for name, value in row.items() if isinstance(value, UnicodeError)), None):
            yield BadRecord(f"column {broken!r} holds bytes that are not UTF-8", row=number)
            continue
        text = row.pop(columns.text)
        if text is None or not text.strip():
            yield BadRecord(f"{'no' if text is None else 'an empty'} text in column {columns.text!r}", row=number)
            continue
        name, group = row.pop(columns.id, None), file.group if columns.group is None else row.get(columns.group)
        if group is None:
            yield BadRecord(f"no group in column {columns.group!r}", row=number)
            continue
        inner = row.pop("metadata", None) if isinstance(row.get("metadata"), dict) else {}
        metadata = _plain(row | inner) | {"group": str(group)}
        yield Document(text=text, id=f"{file.name}:{number}" if name is None else str(name), metadata=metadata)


def _values(column: pa.Array) -> list[Any]:
    """Python's values; a UnicodeError where one is no text."""
    try:
        return list(column.to_pylist())
    except UnicodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeError as error:
        return error


def _plain(value: Any) -> Any:
    """As JSON holds it: times in ISO 8601, decimals as text; bytes, and numbers that are none, are None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return None if isinstance(value, bytes) else str(value) if isinstance(value, (Decimal, datetime.timedelta)) else None


def told(error: Exception) -> str:
    """What Arrow says, in one line, without where in its own source it says so."""
    return str(error).splitlines()[0].strip()[:200] if str(error).strip() else type(error).__name__
