"""Where programs are to be run, they can be: without a sandbox their tests skip, and CI (.ci/run) would pass with nothing of them run."""

from __future__ import annotations

import os

import pytest

from modelwright_plugins.sandbox import wrapping


@pytest.mark.skipif("MODELWRIGHT_WANTS_SANDBOX" not in os.environ, reason="MODELWRIGHT_WANTS_SANDBOX is not set: a machine may have none")
def test_a_sandbox_works_here() -> None:
    assert wrapping()
