"""Pipelines of the toy plugin (tests/core/toy), whose runs take a fraction of a second, through the command line as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TOY = Path(__file__).parents[2] / "core" / "toy"
THREE = """\
# Draws, paints, and paints again.
pipeline:
  - name: sketch
    overrides: [recipe=toy, "stages=[draw]", draw.lines=3]
  - name: first
    overrides: [recipe=toy, "stages=[paint]", "color=[red]", paint.workers=1]
  - name: second
    from: sketch
    overrides: [recipe=toy, "stages=[paint]", "color=[deep]", paint.workers=1]
next: [draw.lines=5]
"""


class Home:
    """A folder to type commands in, with a pipeline of three phases in three.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_PLUGINS": "toy", "MODELWRIGHT_CACHE": str(folder / "cache")}
        (folder / "three.yaml").write_text(THREE)

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelwright", *words], cwd=self.folder, env=self.env | env, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def modelwright(self, *words: str, **env: str) -> tuple[int, str, str]:
        """(exit code, output, errors)"""
        process = self.start(*words, **env)
        try:
            said, errors = process.communicate(timeout=600)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, said, errors

    def end_when(self, file: str, sign: signal.Signals, *words: str, **env: str) -> tuple[int, str, str]:
        """Start the command, wait until `file` is there, and send it the signal; with SIGKILL, all that it started dies with it."""
        process = self.start(*words, **env)
        deadline = time.monotonic() + 300
        while not (self.folder / file).exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.01)
        (os.killpg if sign == signal.SIGKILL else os.kill)(process.pid, sign)
        said, errors = process.communicate(timeout=300)
        return process.returncode, said, errors

    def manifest(self, run: str) -> dict:
        return json.loads((self.folder / run / "manifest.json").read_text())

    def hashes(self, pipeline: str) -> dict[str, str]:
        """phase/stage/artifact -> its hash, of all that finished."""
        found = {}
        for file in sorted((self.folder / pipeline).glob("*/manifest.json")):
            for stage, record in json.loads(file.read_text())["stages"].items():
                found |= {f"{file.parent.name}/{stage}/{name}": each["hash"] for name, each in record.get("artifacts", {}).items()}
        return found
