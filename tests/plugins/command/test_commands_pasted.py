"""What the end of a run says to type next is a command that a shell takes as it is meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins import terminal
from modelwright_plugins.command import farewell as told
from modelwright_plugins.pipeline import farewell as told_of_a_pipeline

FOLDER, NEXT = Path("runs/my first"), ["stages=[paint,draw] 'shape.name=a b' draw.lines=3", "name='half"]


@pytest.fixture(autouse=True)
def active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "program", lambda: "modelwright")


def test_what_to_try_next(capsys: pytest.CaptureFixture[str]) -> None:
    told.farewell({"stages": {}, "next": NEXT, "recipe": "my recipes/toy.yaml"}, FOLDER)
    of_a_run = [line.strip() for line in capsys.readouterr().out.splitlines()[-2:]]
    told_of_a_pipeline.farewell({}, FOLDER, {"next": NEXT, "recipe": "my recipes/toy.yaml"})
    assert [line.strip() for line in capsys.readouterr().out.splitlines()[-2:]] == of_a_run
    words = ["modelwright", "run", "recipe=my recipes/toy.yaml", "stages=[paint,draw]", "shape.name=a b", "draw.lines=3"]
    assert shlex.split(of_a_run[0]) == words and "'stages=[paint,draw]'" in of_a_run[0]  # a shell would look for files of that name
    assert of_a_run[1] == "modelwright run recipe=my recipes/toy.yaml name='half"  # as its author wrote it


def test_how_to_go_on() -> None:
    again, resumed = told.after_failing(ModelwrightError("x"), FOLDER, ["recipe=toy", "stages=[draw]"])
    assert again.startswith("modelwright run recipe=toy 'stages=[draw]'   ")
    assert resumed.startswith("modelwright resume 'runs/my first'   ")
