"""The reader that every source shares."""

import json
import random

import pytest

from modelwright_plugins.source import SourceFile
from modelwright_plugins.source._reader import Reader, share
from modelwright_plugins.source.text import Text


@pytest.mark.parametrize("world_size", [1, 2, 7, 40])
def test_shares_are_neighbours_of_about_equal_bytes(tmp_path, world_size):
    pick = random.Random(0)
    files = [SourceFile(path=tmp_path, name=str(i), bytes=pick.choice([0, 10, 100])) for i in range(300)]
    shares = [share(files, rank, world_size) for rank in range(world_size)]
    assert [f for part in shares for f in part] == files  # each once, in order
    even = sum(f.bytes for f in files) / world_size
    assert all(abs(sum(f.bytes for f in part) - even) <= 200 for part in shares)


def test_what_cannot_be_read_is_quarantined_and_the_rest_goes_on(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.txt").write_text(name)
    source = Text(paths=[str(tmp_path / "*.txt")])
    files = source.files()
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c.txt").write_bytes(b"caf\xe9")
    quarantine = tmp_path / "quarantine"
    quarantine.mkdir()
    texts = [d.text for rank in range(2) for d in Reader(source, files, quarantine).run(None, rank, 2)]
    assert texts == ["a", "d"]
    bad = [json.loads(line) for file in sorted(quarantine.iterdir()) for line in file.read_text().splitlines()]
    assert [record["file"] for record in bad] == [str(tmp_path / "b.txt"), str(tmp_path / "c.txt")]
    assert "No such file" in bad[0]["reason"] and "decode" in bad[1]["reason"]
