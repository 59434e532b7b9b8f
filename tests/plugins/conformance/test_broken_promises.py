"""For each promise, a component that breaks it is caught, and told in one line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import broken_adapters  # noqa: F401 - it adds to BROKEN
import broken_data
import broken_evaluators  # noqa: F401 - it adds to BROKEN
import broken_mixtures  # noqa: F401 - it adds to BROKEN
import broken_quantizers  # noqa: F401 - it adds to BROKEN
import broken_rewards  # noqa: F401 - it adds to BROKEN
import broken_training
import pytest
from broken_table import BROKEN

from modelwright.hooks import discover

pytestmark = pytest.mark.slow

RANKS = {"architecture", "attention", "kernel", "parallel", "precision", "quantizer"}
ON_RANKS = {broken_training.Squared, broken_training.Splitting, broken_training.Counting}


def check(kind: str, component: Any, folder: Path) -> None:
    discover().registry.load("conformance", kind)().check(component, folder)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (folder := tmp_path / "table").mkdir()
    for name in "ab":
        with (folder / f"{name}.csv").open("w", newline="") as out:
            csv.writer(out).writerows([["text"], *([f"{name} {i}"] for i in range(5))])
    return folder


@pytest.mark.parametrize(
    ("kind", "cls", "said"),
    [pytest.param(*row, id=row[1].__name__, marks=pytest.mark.slow if row[0] in RANKS or row[1] in ON_RANKS else []) for row in BROKEN],
)
def test_a_broken_promise_is_told(kind: str, cls: type[Any], said: str, tmp_path: Path, table: Path, capfd: Any) -> None:
    component = cls(table) if kind == "source" else cls()
    with pytest.raises(AssertionError) as caught:
        (tmp_path / "own").mkdir()
        check(kind, component, tmp_path / "own")
    line = str(caught.value)
    assert line.startswith(f"{cls.__name__}: promised: ") and said in line and "\n" not in line, line


def test_a_module_that_imports_torch_is_told(tmp_path: Path) -> None:
    (tmp_path / "heavy_module.py").write_text(
        "import torch\nfrom dataclasses import dataclass\nfrom modelwright.component import Component\n\n\n"
        '@dataclass(frozen=True, kw_only=True)\nclass Heavy(Component):\n    """Heavy."""\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        from heavy_module import Heavy

        with pytest.raises(AssertionError, match=r"Heavy: promised: importing its module.*heavy_module imports torch"):
            check("component", Heavy(), tmp_path)


def test_a_default_that_a_config_changes_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"of the defaults Defaulting\(x=\(1, 2\)\) a config makes"):
        check("component", broken_data.Defaulting(x=[3]), tmp_path)
