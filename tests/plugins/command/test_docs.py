from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelwright.component import Component
from modelwright.errors import ModelwrightError
from modelwright_plugins.command.docs import Docs, pages
from modelwright_plugins.command.markdown import docstring, prose
from modelwright_plugins.command.public import Public, klass
from modelwright_plugins.parameters import parameters
from modelwright_plugins.source_code import Attribute, attributes, signature

TOY = Path(__file__).parents[2] / "core" / "toy"
ONE, TWO = 1, 2  # two numbers


@dataclass(frozen=True, kw_only=True)
class Parent(Component):
    width: int = 8  # of it
    # how many;
    # at least one
    count: int | None = None
    silent: float = 1e-3
    title: str = "# no comment"


@dataclass(frozen=True, kw_only=True)
class Child(Parent):
    width: int = 16
    kept: ClassVar[bool] = True
    """Said below,
    on two lines."""
    pairs: tuple[int, ...] = (
        1,
        2,
    )  # after the bracket

    def grow(self, by: int = 1, /, *rest: str, twice: bool = False, **more: Any) -> Iterator[int]:
        """Yield."""
        yield by

    @property
    def area(self) -> int:
        """Square."""
        return self.width**2

    @staticmethod
    def still(a: Mapping[str, int]) -> None:
        """Nothing."""


def test_what_is_written_beside_a_name():
    assert attributes(Parent) == {
        "width": Attribute("int", "8", "of it"),
        "count": Attribute("int | None", "None", "how many; at least one"),
        "silent": Attribute("float", "0.001", ""),
        "title": Attribute("str", "'# no comment'", ""),
    }
    assert attributes(Child)["kept"] == Attribute("ClassVar[bool]", "True", "Said below,\non two lines.")
    assert attributes(Child)["pairs"].doc == "after the bracket"
    assert attributes(sys.modules[__name__])["TWO"] == Attribute("", "(1, 2)", "two numbers")
    assert {p.name: (p.default, p.doc) for p in parameters(Child)} == {
        "width": ("16", "of it"),
        "count": ("None", "how many; at least one"),
        "silent": ("0.001", ""),
        "title": ("'# no comment'", ""),
        "pairs": ("(1, 2)", "after the bracket"),
    }


def test_signatures_are_as_written():
    assert signature(Child.grow) == "(by: int=1, /, *rest: str, twice: bool=False, **more: Any) -> Iterator[int]"
    assert [f"{item} {item.doc}" for item in klass(Child, "m.Child", known=(Component,))] == [
        "m.Child ",  # not what dataclass makes up
        "m.Child.width: int = 16 of it",
        "m.Child.kept: ClassVar[bool] = True Said below,\non two lines.",
        "m.Child.pairs: tuple[int, ...] = (1, 2) after the bracket",
        "m.Child.grow(by: int=1, /, *rest: str, twice: bool=False, **more: Any) -> Iterator[int] Yield.",
        "m.Child.area() -> int Square.",
        "m.Child.still(a: Mapping[str, int]) -> None Nothing.",
        "m.Child.count: int | None = None how many; at least one",
        "m.Child.silent: float = 0.001 ",
        "m.Child.title: str = '# no comment' ",
    ]


class Text(HTMLParser):
    """What one reads on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said = ""
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.said += data


def test_no_character_of_a_docstring_is_lost_on_the_way_to_a_page():
    from markdown import markdown

    docs = [item.doc for item in Public("builtin").items()]
    docs += [
        "a * b * c, <kind>/_x_ & [1, 2] of {3}",
        "1. no list\n- no list\n# no title",
        "`a*b` and ``c`d`` \\ *",
        "x_y_z __init__",
        "&amp; 1 < 2",
    ]
    for doc in docs:
        html = markdown("\n".join(docstring(doc)), extensions=["fenced_code", "tables", "attr_list", "sane_lists"])
        plain = re.sub(r"`+", "", doc)
        assert "".join(re.sub(r"`+", "", Text(html).said).split()) == "".join(plain.split())
        assert not re.search(r"<(em|strong|ul|ol|h\d)\b", html), doc


def test_prose_links_papers_and_docstrings_keep_columns():
    assert prose("see arXiv:2302.06675, alg. 2") == "see [arXiv:2302.06675](https://arxiv.org/abs/2302.06675), alg. 2"
    assert list(docstring("One.\n\n  cmd a      does it\n  cmd b")) == ["One.", "", "```text", "cmd a      does it", "cmd b", "```", ""]
    assert next(docstring("--x N      that\n--y        this")) == "```text"


def modelwright(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(TOY)}
    return subprocess.run([sys.executable, "-m", "modelwright", *words], env=env, capture_output=True, text=True, timeout=120)


def test_pages_of_a_plugin_hold_its_own_things_only(tmp_path):
    assert modelwright("docs", str(tmp_path), "--plugin", "toy").returncode == 0
    registered = (TOY / "toy_plugin" / "__init__.py").read_text()
    kinds = set(re.findall(r'registry.add_kind\("(\w+)"', registered)) | set(re.findall(r'registry.add\("(\w+)"', registered)) - {"command"}
    assert {path.stem for path in tmp_path.glob("*.md")} >= kinds | {"index"}
    assert not (tmp_path / "hooks.md").exists() and not (tmp_path / "optimizer.md").exists()
    surface = (tmp_path / "surface.txt").read_text().splitlines()
    named = {f"{kind}/{name}" for kind, name in re.findall(r'registry.add\("(\w+)", "(\w+)"', registered)}
    names = [re.split(r"[(:=]", line)[0].strip() for line in surface]
    assert named and named <= {*names} and names == sorted(names)
    assert not [line for line in surface if "muon" in line or line.startswith("on_")]


def test_every_page_has_what_show_prints():
    made = pages(Public("builtin"))
    assert "- `ns_steps: int = 5`: Newton-Schulz iterations" in made["optimizer.md"]
    assert "### muon_small { #muon_small }" in made["optimizer.md"] and "adamw_lr: 0.03" in made["optimizer.md"]
    assert "Uses source, filter, deduper, executor." in made["stage.md"]
    assert "## on_step_end" in made["hooks.md"] and "## pretrain/quickstart" in made["recipes.md"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "docs where? modelwright docs FOLDER"),
        (["a", "b"], "docs where?"),
        (["a", "--plugin"], "no plugin named ''"),
        (["a", "--plugin", "builtim"], "no plugin named 'builtim' has loaded; did you mean 'builtin'?"),
    ],
)
def test_bad_words_are_told_in_one_line_and_nothing_is_written(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelwrightError, match=re.escape(said)) as e:
        Docs().run(words)
    assert "\n" not in str(e.value) and not list(tmp_path.iterdir())
