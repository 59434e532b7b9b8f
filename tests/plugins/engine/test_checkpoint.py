"""Damaged checkpoints are skipped, whichever byte it is; old ones go, but for those to be kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from modelwright_plugins.engine.checkpoint import damage, latest, step_folder, steps
from modelwright_plugins.engine.checkpoint_files import complete, fresh, hashed, keep

NAMES = (".metadata", "common.pt", "__0_0.distcp", "files.json")


def written(folder: Path, step: int) -> Path:
    """A step as `save` leaves it, as far as `latest` looks."""
    partial = fresh(folder, step)
    for name in NAMES[:-1]:
        (partial / name).write_bytes(f"{name} of {step} ".encode() * 10)
    return complete(partial, {"__0_0.distcp": hashed(partial / "__0_0.distcp")})


@pytest.fixture(autouse=True)
def nothing_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (100, 200, 300):
        written(tmp_path, step)
    return tmp_path


def test_the_newest_whole_one_is_taken(folder: Path) -> None:
    assert latest(folder) == 300
    assert latest(folder, below=300) == 200
    (folder / "latest.json").write_text('{"step": 200}')  # killed after renaming 300, before naming it
    assert latest(folder) == 300
    (folder / "latest.json").write_text('{"st')
    assert latest(folder) == 300
    (folder / "step_00000400.tmp").mkdir()  # killed while writing
    assert latest(folder) == 300 and steps(folder) == [100, 200, 300]
    fresh(folder, 500)
    assert not (folder / "step_00000400.tmp").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_torn_one_is_skipped_with_a_warning(folder: Path, name: str) -> None:
    file = step_folder(folder, 300) / name
    file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match=f"step_00000300 is skipped: {name}"):
        assert latest(folder) == 200
    (step_folder(folder, 200) / name).unlink()
    with pytest.warns(UserWarning, match=f"{name} is (missing|not readable)"):
        assert latest(folder) == 100


@pytest.mark.parametrize("name", NAMES)
def test_each_byte_counts(folder: Path, name: str) -> None:
    """Of every file, files.json too: whichever byte is another one, the step before is taken."""
    file = step_folder(folder, 300) / name
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert damage(step_folder(folder, 300)), place
    with pytest.warns(UserWarning, match="step_00000300 is skipped: "):
        assert latest(folder) == 200
    file.write_bytes(whole)
    assert latest(folder) == 300


def test_ranks_share_the_files_out(folder: Path) -> None:
    step = step_folder(folder, 300)
    (step / "common.pt").write_bytes(b"x" * len((step / "common.pt").read_bytes()))
    told = [damage(step, part=part, parts=4) for part in range(4)]
    assert sorted(filter(None, told)) == ["common.pt is damaged: it is not what was written"]


def test_a_step_outside_of_its_folder_is_refused(folder: Path) -> None:
    step = step_folder(folder, 300)
    told = (step / "files.json").read_text()
    (step.parent / "elsewhere").write_bytes((step / "common.pt").read_bytes())
    (step / "files.json").write_text(told.replace("common.pt", "../elsewhere"))
    assert damage(step) == "../elsewhere is missing"
    (step / "files.json").write_text("{}")
    assert damage(step) == "files.json names no .metadata"


def test_which_are_kept(tmp_path: Path) -> None:
    for step in range(100, 900, 100):
        written(tmp_path, step)
        keep(tmp_path, step, last=2, every=300)
    assert steps(tmp_path) == [300, 600, 700, 800]
    keep(tmp_path, 800, last=None, every=None)
    assert steps(tmp_path) == [300, 600, 700, 800]
    written(tmp_path, 650)  # the run has gone on from 600, as 700 and 800 are damaged
    keep(tmp_path, 650, last=1, every=300)
    assert steps(tmp_path) == [300, 600, 650]


def test_a_step_that_is_there_is_written_again(folder: Path) -> None:
    (step_folder(folder, 300) / "common.pt").write_bytes(b"damaged")
    written(folder, 300)
    assert damage(step_folder(folder, 300)) is None and latest(folder) == 300


def test_nothing_there(tmp_path: Path, folder: Path) -> None:
    assert latest(tmp_path / "absent") is None
    for step in (100, 200, 300):
        shutil.rmtree(step_folder(folder, step))
    with pytest.warns(UserWarning, match="step_00000300 is skipped"):
        assert latest(folder) is None
    assert damage(step_folder(folder, 300)) is not None
