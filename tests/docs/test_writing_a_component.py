"""The page that teaches how to write a component is a plugin; here it is installed and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-component.md"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory, write_files_of) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    write_files_of(PAGE, folder)
    return folder


def modelwright(plugin: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(plugin)}
    done = subprocess.run([sys.executable, "-m", "modelwright", *words], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_components_are_listed_shown_and_planned(plugin):
    assert "signum" in (said := modelwright(plugin, "list", "optimizer")) and "Signum (Bernstein et al. 2018" in said
    assert "max_capitals: float = 0.5\n      share of the letters" in modelwright(plugin, "show", "filter/no_shouting")
    commands = re.findall(r"^    modelwright (plan .*)$", PAGE.read_text(), re.M)
    assert "strict_shouting" in modelwright(plugin, *commands[0].replace("'", "").split())


def test_its_optimizer_is_signum_and_its_filter_filters(plugin):
    code = """
import torch
from datatrove.data import Document
from my_plugin.signum import Signum
from my_plugin.shouting import NoShouting
p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
optimizer = Signum(lr=0.1, weight_decay=0.5).build([{"params": [p], "role": "matrix"}])
p.grad = torch.tensor([3.0, -1.0]); optimizer.step()
# by hand: decay by 1 - 0.1 * 0.5, then 0.1 * sign(0.1 * gradient)
assert torch.allclose(p, torch.tensor([0.95 - 0.1, -1.9 + 0.1])), p
assert torch.allclose(optimizer.state[p]["momentum"], torch.tensor([0.3, -0.1]))
p.grad = torch.tensor([-4.0, 0.0]); optimizer.step()
# 0.9 * 0.3 - 0.1 * 4 < 0 and 0.9 * -0.1 < 0
assert torch.allclose(p, torch.tensor([0.85 * 0.95 + 0.1, -1.8 * 0.95 + 0.1])), p
keep = NoShouting().build()
assert keep.filter(Document(text="Quiet words", id="1")) == (True, "")
assert keep.filter(Document(text="LOUD words", id="2")) == (True, "")
assert keep.filter(Document(text="LOUD WORDs", id="3")) == (False, "shouting")
"""
    env = {**os.environ, "PYTHONPATH": str(plugin)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_its_components_hold_what_their_kinds_promise(plugin):
    code = "from modelwright.testing import assert_conforms as a; a('optimizer/signum'); a('filter/no_shouting')"
    env = {**os.environ, "PYTHONPATH": str(plugin)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
