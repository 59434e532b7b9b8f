"""Damaged checkpoints are skipped, and a kill at any moment leaves a whole one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modelwright_plugins.engine.checkpoint import damage, latest, step_folder, steps


def written(folder: Path, step: int) -> Path:
    """A step as `save` leaves it, as far as `latest` looks."""
    at = step_folder(folder, step)
    at.mkdir(parents=True)
    for name in (".metadata", "common.pt", "__0_0.distcp"):
        (at / name).write_bytes(b"x" * 100)
    (at / "sizes.json").write_text(json.dumps(dict.fromkeys((".metadata", "common.pt", "__0_0.distcp"), 100)))
    (folder / "latest.json").write_text(json.dumps({"step": step}))
    return at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (100, 200, 300):
        written(tmp_path, step)
    return tmp_path


def test_the_newest_whole_one_is_taken(folder: Path) -> None:
    assert latest(folder) == 300
    (folder / "latest.json").write_text('{"step": 200}')  # killed after renaming 300, before naming it
    assert latest(folder) == 300
    (folder / "latest.json").write_text('{"st')
    assert latest(folder) == 300
    (folder / "step_00000400.tmp").mkdir()  # killed while writing
    assert latest(folder) == 300 and steps(folder) == [100, 200, 300]


@pytest.mark.parametrize("name", [".metadata", "common.pt", "__0_0.distcp", "sizes.json"])
def test_a_torn_one_is_skipped_with_a_warning(folder: Path, name: str) -> None:
    (step_folder(folder, 300) / name).write_bytes(b"x" * 50)
    with pytest.warns(UserWarning, match=f"step_00000300 is skipped: {name}"):
        assert latest(folder) == 200
    (step_folder(folder, 200) / name).unlink()
    with pytest.warns(UserWarning, match=f"{name} is (missing|not readable)"):
        assert latest(folder) == 100


def test_nothing_there(tmp_path: Path, folder: Path) -> None:
    assert latest(tmp_path / "absent") is None
    for step in (100, 200, 300):
        shutil.rmtree(step_folder(folder, step))
    with pytest.warns(UserWarning, match="step_00000300 is skipped"):
        assert latest(folder) is None
    assert damage(step_folder(folder, 300)) is not None
