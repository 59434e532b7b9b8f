"""Parquet: rows as pyarrow reads whole tables, and row groups that are broken."""

from __future__ import annotations

import datetime
import decimal
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.parquet import Parquet


def read(source: Parquet) -> tuple[list[Any], list[BadRecord]]:
    items = [item for file in source.files() for item in source.read(file)]
    return [i for i in items if not isinstance(i, BadRecord)], [i for i in items if isinstance(i, BadRecord)]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_rows_are_those_of_pyarrow(tmp_path: Path, compression: str, kind: pa.DataType) -> None:
    chance = random.Random(0)
    texts = [" ".join(chance.choices(["mill", "Mühle", "水車"], k=20)) for _ in range(1000)]
    table = pa.table({"text": pa.array(texts).cast(kind), "n": range(1000), "id": [f"i{i}" for i in range(1000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300, compression=compression)
    documents, bad = read(Parquet(paths=[str(tmp_path)]))
    whole = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert not bad and [{"text": d.text, "n": d.metadata["n"], "id": d.id} for d in documents] == whole


def test_metadata_is_what_json_can_hold(tmp_path: Path) -> None:
    row = {
        "text": "one",
        "when": datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "price": decimal.Decimal("1.50"),
        "bytes": b"\xff",
        "none": None,
        "nan": float("nan"),
        "nested": {"a": [1, 2.5], "image": {"bytes": b"x", "path": "p"}},
        "metadata": {"url": "http://a.example"},
    }
    file = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([row]), file)
    (document,), _ = read(Parquet(paths=[str(file)]))
    assert document.id == f"{file}:1"
    assert document.metadata == {
        "when": "2020-01-02T03:04:00+00:00",
        "price": "1.50",
        "none": None,
        "nan": None,
        "nested": {"a": [1, 2.5], "image": {"bytes": None, "path": "p"}},
        "url": "http://a.example",
        "group": str(file),
    }
    json.dumps(document.metadata, allow_nan=False)
    (document,), _ = read(Parquet(paths=[str(file)], columns=["price"]))
    assert document.metadata == {"price": "1.50", "group": str(file)}


def test_rows_that_are_no_documents(tmp_path: Path) -> None:
    raw = pa.array([b"one", b"caf\xe9", b"  ", None, b"five"]).cast(pa.binary())
    text = pa.Array.from_buffers(pa.string(), 5, raw.buffers())  # bytes that are no UTF-8, as some writers leave them
    pq.write_table(pa.table({"text": text, "site": ["a", "b", "c", "d", None]}), tmp_path / "a.parquet")
    documents, bad = read(Parquet(paths=[str(tmp_path)], group_key="site"))
    assert [(d.text, d.metadata["group"]) for d in documents] == [("one", "a")]
    reasons = ["column 'text' holds bytes that are not UTF-8", "an empty text in column 'text'", "no text in column 'text'"]
    assert bad == [BadRecord(why, row=row) for row, why in enumerate([*reasons, "no group in column 'site'"], 2)]


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    texts = [f"Text {i} of the mill, {random.Random(i).random()}." for i in range(1000)]
    pq.write_table(pa.table({"text": texts}), file, row_group_size=100, compression="zstd", write_page_checksum=True, use_dictionary=False)
    group = pq.ParquetFile(file).metadata.row_group(3).column(0)
    content = bytearray(file.read_bytes())
    at = group.data_page_offset + group.total_compressed_size // 2
    content[at] ^= 1
    file.write_bytes(content)
    documents, bad = read(Parquet(paths=[str(file)]))
    assert [d.text for d in documents] == texts[:300] + texts[400:]
    assert len(bad) == 1 and bad[0].row == 301 and bad[0].reason.startswith("a damaged row group: ") and "CRC" in bad[0].reason


def test_files_that_are_no_parquet_and_other_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[:-20])
    (tmp_path / "c.parquet").write_bytes(b"")
    pq.write_table(pa.table({"texte": ["one"]}), tmp_path / "d.parquet")
    documents, bad = read(Parquet(paths=[str(tmp_path)]))
    assert len(documents) == 1
    assert [b.reason.split(":")[0] for b in bad] == ["no Parquet file", "no Parquet file", "no column 'text'; did you mean 'texte'?"]


def test_columns_that_are_not_there_are_told_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"content": ["one"], "n": [1]}), file)
    for settings, told in [
        ({}, rf"source\.text_key: {file} has no column 'text'; there are: content, n"),
        ({"text_key": "contents"}, r"no column 'contents'; did you mean 'content'\?"),
        ({"text_key": "n"}, r"source\.text_key: .* has int64, and no text, in column 'n'"),
        ({"text_key": "content", "group_key": "site"}, r"source\.group_key: .* no column 'site'"),
        ({"text_key": "content", "columns": ["m"]}, r"source\.columns: .* no column 'm'"),
    ]:
        with pytest.raises(ModelwrightError, match=told):
            Parquet(paths=[str(file)], **settings).files()  # type: ignore[arg-type]
