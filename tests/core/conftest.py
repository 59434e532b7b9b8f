"""The toy plugin, in this process (alone, without the built-in parts) and in child processes (beside them)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from modelwright import hooks

TOY = Path(__file__).parent / "toy"


@pytest.fixture
def install_plugins(monkeypatch, tmp_path):
    """Make these the installed plugins: name -> 'module', and give back the freshly discovered hooks."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("MODELWRIGHT_CACHE", str(tmp_path / "cache"))

    def install(**plugins: str):
        entries = [EntryPoint(name, value, "modelwright") for name, value in plugins.items()]
        monkeypatch.setattr(hooks, "entry_points", lambda group: entries)
        hooks.discover.cache_clear()
        return hooks.discover()

    yield install
    hooks.discover.cache_clear()


@pytest.fixture
def toy(install_plugins):
    """The toy plugin, alone."""
    return install_plugins(toy="toy_plugin")


@pytest.fixture
def modelwright(tmp_path):
    """Run the command line in a process of its own, with the toy plugin installed: (exit code, output, errors)."""

    def run(*words: str, **env: str) -> tuple[int, str, str]:
        given = {**os.environ, "PYTHONPATH": str(TOY), "MODELWRIGHT_CACHE": str(tmp_path / "cache"), **env}
        done = subprocess.run(
            [sys.executable, "-m", "modelwright", *words], capture_output=True, text=True, cwd=tmp_path, env=given, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    return run
