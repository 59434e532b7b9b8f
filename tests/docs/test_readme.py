"""Every command of the README runs, on a little of the data that a person would use."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

pytestmark = pytest.mark.slow
README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = re.findall(r"^    modelwright (.+?)(?:\s+#.*|;.*)?$", README, re.M)
SMALL = ["source.max_bytes=3_000_000", "curate.min_bytes=0", "train.steps=2", "evaluate.prompts=[]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def modelwright(home: Path, *words: str) -> str:
    env = {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache")}
    done = subprocess.run([sys.executable, "-m", "modelwright", *words], cwd=home, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_commands():
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(home, command):
    words = shlex.split(command)
    assert modelwright(home, *words, *(SMALL if words[0] == "run" else []))


def test_a_recipe_of_ones_own(home):
    recipe = re.search(r"run it with `recipe=./mine.yaml`:\n\n((?:    .*\n)+)", README)[1]
    (home / "mine.yaml").write_text(re.sub(r"^    ", "", recipe, flags=re.M))
    (home / "books").mkdir()
    words, random = [word.lower() for word in README.split() if word.isalpha()], Random(5)
    for i in range(40):
        sentences = (" ".join(random.choices(words, k=12)).capitalize() + "." for _ in range(300))
        (home / "books" / f"{i}.txt").write_text("\n".join(sentences))
    said = modelwright(home, "run", "recipe=./mine.yaml", "train.steps=2", "evaluate.prompts=[]", "run.dir=out", "deduper=[]")
    assert "The run is in out" in said
