"""What the tests of pages share: the files that a page tells its reader to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def write_files_of() -> Callable[[Path, Path], None]:
    """Write the files of a page (each in a fence, under a line that begins with its name in backticks) into a folder.

    A `pyproject.toml` among them is installed as `pip install` would, without asking an index for setuptools: put the folder on PYTHONPATH.
    """

    def write(page: Path, folder: Path) -> None:
        for name, body in re.findall(r"^`([\w./]+)`[^\n]*\n\n```\w+\n(.*?)```", page.read_text(encoding="utf-8"), re.M | re.S):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body)
        if (project := folder / "pyproject.toml").exists():
            info = folder / "my_plugin-0.1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 0.1\n")
            section = re.search(r"\[project.entry-points.modelwright\]\n(.*?)\n\n", project.read_text(), re.S)
            assert section
            (info / "entry_points.txt").write_text(f"[modelwright]\n{section[1]}\n".replace('"', ""))

    return write
