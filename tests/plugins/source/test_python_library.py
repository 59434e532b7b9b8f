"""The machine's own Python library."""

import sysconfig
from collections import Counter

import pytest

from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.python_library import PythonLibrary, _equal_cap


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small library of its own: 30 modules of 1 kB, one package of 100 kB, docs, and files that can't be read."""
    stdlib, site = tmp_path / "lib", tmp_path / "site-packages"
    for i in range(30):
        (stdlib / f"m{i:02d}.py").parent.mkdir(exist_ok=True)
        (stdlib / f"m{i:02d}.py").write_text("x = 1  # y\n" * 91)
    for i in range(100):
        file = site / "giant" / f"part{i:03d}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("y = 2\n" * 167)
    (stdlib / "__pycache__").mkdir()
    (stdlib / "__pycache__" / "m00.py").write_text("z")
    (site / "giant" / "latin.py").write_bytes("# -*- coding: latin-1 -*-\n# caf\xe9\n".encode("latin-1"))
    (site / "giant" / "bad.py").write_bytes(b"# -*- coding: no-such -*-\n")
    (site / "giant" / "README.md").write_text("# Giant\n")
    (site / "giant" / "__init__.py").write_text("")
    paths = {"stdlib": str(stdlib), "purelib": str(site), "platlib": str(site)}
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths)
    return stdlib, site


def test_a_cap_in_bytes_takes_the_same_from_each_group(library):
    files = PythonLibrary(max_bytes=40_000).files()
    per_group = Counter()
    for file in files:
        per_group[file.group] += file.bytes
    assert len(per_group) == 31 and per_group["m07"] == 1001
    assert 9_000 <= per_group["giant"] <= 10_000  # 40,000 - 30 * 1,001
    numbers = sorted(int(f.path.stem[4:]) for f in files if f.path.stem.startswith("part"))
    assert max(numbers) > 50 > min(numbers)  # not the first letters only
    assert [f.name for f in files] == sorted(f.name for f in files)
    assert files == PythonLibrary(max_bytes=40_000).files()


def test_all_of_it(library):
    source = PythonLibrary(max_bytes=10**9)
    files = source.files()
    assert len(files) == 30 + 100 + 3  # no cache, no empty file
    items = {file.name: list(source.read(file)) for file in files}
    (latin,) = items["giant/latin.py"]
    assert latin.text.endswith("# café\n") and latin.metadata == {"group": "giant", "kind": "code"}
    assert items["giant/README.md"][0].metadata["kind"] == "prose"
    (bad,) = items["giant/bad.py"]
    assert isinstance(bad, BadRecord) and "encoding" in bad.reason and bad.line == 1


def test_equal_cap_against_trying_every_cap():
    sizes = [3, 50, 8, 8, 120, 1]
    for total in (6, 30, 77, 120, 190, 500):
        best = max(cap for cap in range(max(sizes) + 1) if sum(min(s, cap) for s in sizes) <= total)
        assert _equal_cap(sizes, total) == best


def test_this_machine_has_enough_and_groups_are_whole_distributions():
    files = PythonLibrary().files()
    assert 20_000_000 <= sum(f.bytes for f in files) <= 30_000_000
    files = PythonLibrary(max_bytes=10**12).files()
    group = {f.name.split("/")[0]: f.group for f in files if not f.name.startswith("stdlib/")}
    assert group["_pytest"] == group["pytest"] == "pytest"
    stdlib = {f.name: f.group for f in files if f.name.startswith("stdlib/")}
    assert any(name.startswith("stdlib/encodings/") for name in stdlib)
    assert {stdlib[name] for name in stdlib if name.startswith("stdlib/encodings/")} == {"encodings"}
