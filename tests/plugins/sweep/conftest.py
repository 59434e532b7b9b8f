"""Sweeps of the toy plugin (tests/core/toy), whose jobs take a fraction of a second, through the command line as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOY = Path(__file__).parents[2] / "core" / "toy"


class Home:
    """A folder to type commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_PLUGINS": "toy", "MODELWRIGHT_CACHE": str(folder / "cache")}

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelwright", *words], cwd=self.folder, env=self.env | env, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def modelwright(self, *words: str, **env: str) -> tuple[int, str, str]:
        """(exit code, output, errors)"""
        process = self.start(*words, **env)
        said, errors = process.communicate(timeout=300)
        return process.returncode, said, errors

    def kill_when(self, file: str, *words: str, **env: str) -> None:
        """Start the command, wait until `file` is there, and kill it and all that it started: a power cut."""
        process = self.start(*words, **env)
        deadline = time.monotonic() + 120
        while not (self.folder / file).exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def manifest(self, job: str) -> dict:
        return json.loads((self.folder / job / "manifest.json").read_text())

    def jobs(self, sweep: str) -> list[str]:
        return sorted(path.parent.name for path in (self.folder / sweep).glob("*/manifest.json"))


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)
