"""Datasets on disk: rows as Hugging Face's datasets gives them, in its order, and files that are broken."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.hugging_face import HuggingFace

datasets.disable_progress_bars()
ROWS = [{"text": f"Text {i}: {random.Random(i).random()}", "id": f"i{i}", "n": i, "tags": ["a", "b"][: i % 3]} for i in range(2500)]


def read(source: HuggingFace) -> tuple[list[Any], list[BadRecord]]:
    items = [item for file in source.files() for item in source.read(file)]
    return [i for i in items if not isinstance(i, BadRecord)], [i for i in items if isinstance(i, BadRecord)]


def told(documents: list[Any]) -> list[dict[str, Any]]:
    return [{"text": d.text, "id": d.id} | {key: value for key, value in d.metadata.items() if key != "group"} for d in documents]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_dataset_is_what_datasets_loads(tmp_path: Path, shards: int) -> None:
    made = datasets.Dataset.from_list(ROWS).shuffle(seed=3).select(range(0, 2500, 2))  # with an indices mapping
    made.save_to_disk(str(tmp_path / "a"), num_shards=shards)
    documents, bad = read(HuggingFace(paths=[str(tmp_path / "a")]))
    assert not bad and told(documents) == list(datasets.load_from_disk(str(tmp_path / "a")))
    assert len({d.metadata["group"] for d in documents}) == shards


def test_splits_of_a_dict(tmp_path: Path) -> None:
    made = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS[:30]), "test": datasets.Dataset.from_list(ROWS[30:40])})
    made.save_to_disk(str(tmp_path / "a"))
    loaded = datasets.load_from_disk(str(tmp_path / "a"))
    documents, _ = read(HuggingFace(paths=[str(tmp_path / "a")]))
    assert told(documents) == [*loaded["train"], *loaded["test"]]
    documents, _ = read(HuggingFace(paths=[str(tmp_path / "a")], splits=["test"]))
    assert told(documents) == list(loaded["test"])


def test_features_of_datasets_own(tmp_path: Path) -> None:
    features = datasets.Features(
        {"content": datasets.Value("large_string"), "label": datasets.ClassLabel(names=["no", "yes"]), "blob": datasets.Value("binary")}
    )
    made = datasets.Dataset.from_dict({"content": ["one", None], "label": [1, 0], "blob": [b"x", b"y"]}, features=features)
    made.save_to_disk(str(tmp_path / "a"))
    documents, bad = read(HuggingFace(paths=[str(tmp_path / "a")], text_key="content"))
    (file,) = HuggingFace(paths=[str(tmp_path / "a")], text_key="content").files()
    assert [(d.text, d.id, d.metadata) for d in documents] == [("one", f"{file.path}:1", {"label": 1, "group": str(file.path)})]
    assert bad == [BadRecord("no text in column 'content'", row=2)]


def test_broken_files_give_what_is_whole(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "a"))
    (path,) = (tmp_path / "a").glob("*.arrow")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    documents, bad = read(HuggingFace(paths=[str(tmp_path / "a")]))
    assert told(documents) == ROWS[:1000] and bad[0].row == 1001 and bad[0].reason.startswith("a damaged Arrow file: ")
    with pa.ipc.open_stream(whole) as stream:  # offsets that go past the end: Arrow would read what isn't its own
        batches = list(stream)
    size = batches[0].column(0).buffers()[1].size
    offsets = batches[0].column(0).buffers()[1].to_pybytes()[: min(size, 400)]
    at = whole.index(offsets)
    path.write_bytes(whole[: at + 200] + b"\xff\xff\xff\x7f" + whole[at + 204 :])
    documents, bad = read(HuggingFace(paths=[str(tmp_path / "a")]))
    assert told(documents) == ROWS[1000:] and len(bad) == 1
    assert bad[0].row == 1 and bad[0].reason.startswith("a damaged batch of 1000 rows: ")


def test_folders_and_settings_that_are_wrong(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS[:3])}).save_to_disk(str(tmp_path / "dict"))
    datasets.Dataset.from_list(ROWS[:3]).save_to_disk(str(tmp_path / "plain"))
    (tmp_path / "table").mkdir()
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "table" / "a.parquet")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{")
    for folder, settings, why in [
        ("dikt", {}, r"there is no folder .*; did you mean 'dict'\?"),
        ("table", {}, r"save_to_disk did not write it; its Parquet files are read by source=parquet"),
        ("broken", {}, r"state\.json can't be read"),
        ("dict", {"splits": ["trian"]}, r"source\.splits: .* no split 'trian'; did you mean 'train'\?"),
        ("plain", {"splits": ["train"]}, r"source\.splits: .* is a Dataset, which has no splits"),
        ("plain", {"text_key": "txt"}, r"source\.text_key: .* no column 'txt'; did you mean 'text'\?"),
    ]:
        with pytest.raises(ModelwrightError, match=why):
            HuggingFace(paths=[str(tmp_path / folder)], **settings).files()  # type: ignore[arg-type]
    with pytest.raises(ModelwrightError, match="no folder given"):
        HuggingFace(paths=[]).files()
