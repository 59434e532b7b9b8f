"""A canary: a file that an attempt to run code would make. Each attempt first shows, with nothing in its way, that it makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "core" / "toy"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def modelwright(tmp_path: Path):
    """The command line, with the toy plugin beside the built-in parts: (exit code, output, errors)."""

    def run(*words: str, python: Path | None = None) -> tuple[int, str, str]:
        places = [str(TOY), *([str(python)] if python else []), os.environ.get("PYTHONPATH", "")]
        given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "modelwright", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=given, timeout=120)
        return done.returncode, done.stdout, done.stderr

    return run
