"""JSON Lines: what is read, and what is quarantined with its line."""

import gzip
import json
import random

import pytest
import zstandard

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.jsonl import Jsonl


def read_all(source):
    return [item for file in source.files() for item in source.read(file)]


def test_reads_plain_gzip_and_zstd_alike(tmp_path):
    raw = b"".join(json.dumps({"text": f"text {i}", "id": f"id{i}", "extra": i}).encode() + b"\n" for i in range(3))
    (tmp_path / "a.jsonl").write_bytes(raw)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(raw))
    (tmp_path / "notes.txt").write_text("not for us")
    documents = read_all(Jsonl(paths=[str(tmp_path)]))
    assert [d.text for d in documents] == ["text 0", "text 1", "text 2"] * 3
    assert [d.id for d in documents[:3]] == ["id0", "id1", "id2"]
    assert documents[4].metadata == {"extra": 1, "group": str(tmp_path / "b.jsonl.gz")}


def test_bad_lines_are_told_with_their_number_and_the_rest_is_read(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_bytes(
        b'{"text": "one"}\n'
        b"{not json\n"
        b"[1, 2]\n"
        b'{"other": "no text"}\n'
        b'{"text": 5}\n'
        b'{"text": "  "}\n'
        b'{"text": "caf\xe9"}\n'  # Latin-1
        b'{"text": "\\ud800"}\n'  # half a surrogate pair
        b"\n"
        b'{"text": "ten"}\n'
    )
    items = read_all(Jsonl(paths=[str(file)]))
    assert [(i.text, i.id) for i in items if not isinstance(i, BadRecord)] == [("one", f"{file}:1"), ("ten", f"{file}:10")]
    bad = {i.line: i.reason for i in items if isinstance(i, BadRecord)}
    assert sorted(bad) == [2, 3, 4, 5, 6, 7, 8]
    assert "JSON" in bad[2] and "list" in bad[3] and "'text'" in bad[4] and "int" in bad[5] and "empty" in bad[6]


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("zst", zstandard.compress)])
@pytest.mark.parametrize("fault", ["cut", "zeroed"])
def test_a_damaged_file_gives_what_it_has_and_one_bad_record(tmp_path, ending, compress, fault):
    numbers = random.Random(0)
    lines = b"".join(json.dumps({"text": str(numbers.random())}).encode() + b"\n" for _ in range(50_000))
    packed = compress(lines)
    half = packed[: len(packed) // 2]
    file = tmp_path / f"damaged.jsonl.{ending}"
    file.write_bytes(half if fault == "cut" else half + bytes(len(packed) - len(half)))
    items = read_all(Jsonl(paths=[str(file)]))
    bad = [i for i in items if isinstance(i, BadRecord)]
    assert 0 < len(items) < 50_000 and bad
    assert "damaged" in bad[-1].reason and bad[-1].line == len(items)


def test_zstd_frames_one_after_another(tmp_path):
    line = b'{"text": "x"}\n'
    (tmp_path / "two.jsonl.zst").write_bytes(zstandard.compress(line * 3 + line[:4]) + zstandard.compress(line[4:] + line))
    assert [d.id.rpartition(":")[2] for d in read_all(Jsonl(paths=[str(tmp_path)]))] == list("12345")


def test_group_key(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a", "site": "x.org"}\n{"text": "b", "metadata": {"site": 7}}\n{"text": "c"}\n')
    first, second, third = read_all(Jsonl(paths=[str(file)], group_key="site"))
    assert (first.metadata["group"], second.metadata["group"]) == ("x.org", "7")
    assert third == BadRecord("no group under key 'site'", 3)


@pytest.mark.parametrize("pattern", ["absent.jsonl", "absent/*.jsonl"])
def test_a_path_that_is_not_there_is_an_error(tmp_path, pattern):
    with pytest.raises(ModelwrightError, match=r"source\.paths: nothing matches"):
        Jsonl(paths=[str(tmp_path / pattern)]).files()


def test_the_nearest_name_is_suggested(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("{}")
    with pytest.raises(ModelwrightError, match=r"did you mean 'corpus\.jsonl'"):
        Jsonl(paths=[str(tmp_path / "corpvs.jsonl")]).files()
