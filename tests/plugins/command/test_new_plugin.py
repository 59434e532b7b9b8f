"""What `modelwright new-plugin` writes is installed by pip, passes its own tests, is linted, and is found, shown and planned with."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from modelwright.cli import command
from modelwright.errors import ModelwrightError
from modelwright_plugins.command.plugin_package import regrouped
from modelwright_plugins.command.plugin_template import Template

KINDS = Template.kinds()
SOME = ("filter",)  # quick, and with all that a plugin can have: a private module, a preset, its place in a list


def python(*words: str, path: list[Path], cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], env=env, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def written(kinds: tuple[str, ...], folder: Path) -> dict[str, Path]:
    for kind in kinds:
        assert command(["new-plugin", f"my-{kind}", "--kind", kind, "--into", str(folder)]) == 0
    return {kind: folder / f"my-{kind}" for kind in kinds}


def installed(plugins: dict[str, Path], target: Path) -> Path:
    """pip install, as a person does it, into a folder that is thrown away; what it needs is here already."""
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    python(*words, "--target", str(target), *map(str, plugins.values()), path=[], cwd=target.parent)
    return target


def uses(plugin: Path) -> list[str]:
    """The modelwright commands of its README."""
    return re.findall(r"^    (modelwright .*)$", (plugin / "README.md").read_text(), re.M)


def held(kinds: tuple[str, ...], tmp_path: Path) -> None:
    plugins = written(kinds, tmp_path)
    site = installed(plugins, tmp_path / "site")
    for lint in (["check"], ["check", "--select", "E,F,I,UP,B,SIM,RUF,PTH,C4,RET"], ["format", "--check"]):
        python("-m", "ruff", *lint, "--no-cache", *map(str, plugins.values()), path=[], cwd=tmp_path)
    tests = [str(plugin / "tests") for plugin in plugins.values()]
    said = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *tests, path=[site], cwd=tmp_path)
    passed = re.search(r"(\d+) passed", said)
    assert passed and int(passed[1]) >= 2 * len(kinds) and "skipped" not in said, said[-500:]
    (tables := tmp_path / "tables").mkdir()
    (tables / "a.csv").write_text("text\nsome words\n")
    words = [line.replace("FOLDER", str(tables)) for kind in kinds for line in uses(plugins[kind])]
    assert len(words) == 2 * len(kinds)
    for kind, plugin in plugins.items():
        for preset in sorted(plugin.glob(f"my_{kind}/conf/{kind}/*.yaml")):
            words.append(next(w for w in words if f"my_{kind}" in w and "plan" in w).replace(f"my_{kind}", preset.stem))
    script = "import shlex, sys\nfrom modelwright.cli import command\nfor line in sys.argv[1:]:\n"
    script += "    assert command(shlex.split(line)[1:]) == 0, line\n"
    said = python("-c", script, "modelwright list", *words, path=[site], cwd=tmp_path)
    for kind in kinds:
        assert re.search(rf"^  my_{kind} .*\(my_{kind}\)$", said, re.M), f"{kind} is not listed"
        assert f"{kind}/my_{kind}  (plugin my_{kind}, " in said, f"{kind} is not shown"


@pytest.mark.slow
def test_one_kind(tmp_path: Path) -> None:
    held(SOME, tmp_path)


@pytest.mark.slow
def test_every_kind(tmp_path: Path) -> None:
    assert {*KINDS} >= {"source", "tokenizer", "architecture", "optimizer", "stage"} and len(KINDS) >= 16
    held(tuple(KINDS), tmp_path)


def test_it_says_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(("schedule",), tmp_path / "with blank")["schedule"]
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == [f"  pip install -e '{folder}[test]'", f"  python -m pytest '{folder}'", "  modelwright show schedule/my_schedule"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["modelwright"] == {"my_schedule": "my_schedule"}
    assert project["dependencies"] == ["modelwright>=0.1,<0.2"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_imports_public_names_only(kind: str, tmp_path: Path) -> None:
    text = "".join(p.read_text() for p in written((kind,), tmp_path)[kind].rglob("*.py"))
    found = set(re.findall(r"^ *(?:from|import) (modelwright[\w.]*)", text, re.M))
    inner = "|".join(["artifacts", *KINDS])
    assert {n for n in found if not re.fullmatch(rf"modelwright\.(api|testing)|modelwright_plugins\.({inner})(\.[a-z]\w*)?", n)} == set()
    for word in ("for example", "def example(self, passage", "    examples: ClassVar"):  # an objective's method, an aligner's attribute
        text = text.replace(word, "")
    assert "xample" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "new-plugin takes one name, as in: modelwright new-plugin my-optimizer --kind optimizer"),
        ("a b --kind optimizer", "it got a, b"),
        ("mine", "of which kind? --kind KIND"),
        ("mine --kind", "--kind needs a value: --kind KIND"),
        ("mine --knid optimizer", "new-plugin has no option '--knid'; did you mean '--kind'?"),
        ("mine --kind optimiser", "no kind named 'optimiser'; did you mean 'optimizer'?"),
        (
            "mine --kind conformance",
            "there is no example of a conformance to begin with; there is one of: adapter, aligner, architecture, ",
        ),
        ("../mine --kind optimizer", "a name begins with a letter"),
        ("1st --kind optimizer", "a name begins with a letter"),
        ("mine- --kind optimizer", "a name begins with a letter"),
        ("class --kind optimizer", "'class' is a word of Python"),
        ("tests --kind optimizer", "every plugin has a folder 'tests' of its own"),
        ("torch --kind optimizer", "torch is installed already"),
        ("JSON --kind optimizer", "there is a module 'json' already"),
        ("megatron-core --kind optimizer", "megatron-core is installed already"),
        ("builtin --kind optimizer", "there is a plugin 'builtin' already"),
        ("muon --kind optimizer", "there is optimizer/muon already: modelwright show optimizer/muon"),
        ("adamw-llama --kind optimizer", "there is optimizer/adamw_llama already"),
        (
            "optimizer --kind optimizer",
            "its class would be called Optimizer, and that is the name of something that it uses; try my-optimizer",
        ),
        ("value-error --kind optimizer", "its class would be called ValueError"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelwrightError) as caught:
        command(["new-plugin", *shlex.split(words)])
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value
    assert not list(tmp_path.iterdir())


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my-optimizer").mkdir()
    (tmp_path / "my-optimizer" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelwrightError, match="is there already; nothing was written"):
        written(("optimizer",), tmp_path)
    assert [p.read_text() for p in (tmp_path / "my-optimizer").iterdir()] == ["years of work"]


TOPPINGS = {
    "toppings/__init__.py": """
from modelwright.api import hookimpl


@hookimpl
def modelwright_register(registry):
    registry.add_kind("ice-topping", "toppings.kind:Topping", many=True)
    registry.add("conformance", "ice-topping", "toppings.check:Toppings")
""",
    "toppings/kind.py": '''
from abc import ABC, abstractmethod

from modelwright.api import Component


class Topping(Component, ABC):
    """What is put on ice cream."""

    @abstractmethod
    def grams(self, scoops: int) -> float:
        """How much of it."""
''',
    "toppings/check.py": '''
from dataclasses import dataclass

from modelwright.testing import Conformance


@dataclass(frozen=True, kw_only=True)
class Toppings(Conformance):
    """A topping: more scoops, more of it."""

    example = "toppings.sauce"

    def check(self, component, folder):
        assert component.grams(2) > component.grams(1), "two scoops get no more than one"
''',
    "toppings/sauce.py": '''
"""Sauces."""

from dataclasses import dataclass

from toppings.kind import Topping


@dataclass(frozen=True, kw_only=True)
class Sauce(Topping):
    """Chocolate, mostly."""

    each: float = 12.5  # grams for each scoop

    def grams(self, scoops: int) -> float:
        return self.each * scoops
''',
    "toppings-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: toppings\nVersion: 2.5\n",
    "toppings-2.5.dist-info/entry_points.txt": "[modelwright]\ntoppings = toppings\n",
}


def test_a_kind_of_another_plugin(tmp_path: Path) -> None:
    """Whose name comes later than the new one's: plugins load in the order of their names."""
    for name, text in TOPPINGS.items():
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_text(text)
    words = ["-m", "modelwright", "new-plugin", "Nut.Crunch", "--kind=ice-topping", "--into=here"]
    python(*words, path=[tmp_path / "other"], cwd=tmp_path)
    plugin = tmp_path / "here" / "Nut.Crunch"
    files = [str(p.relative_to(plugin)) for p in plugin.rglob("*") if p.is_file()]
    conf = ["nut_crunch/conf/__init__.py", "nut_crunch/conf/ice-topping/nut_crunch_as_it_is.yaml"]
    top = [".gitignore", "README.md", "nut_crunch/__init__.py", *conf, "nut_crunch/ice_topping.py", "pyproject.toml"]
    assert {*files} == {*top, "tests/test_nut_crunch.py"}
    assert "toppings>=2.5" in (plugin / "pyproject.toml").read_text()
    assert "class NutCrunch(Topping)" in (plugin / "nut_crunch" / "ice_topping.py").read_text()
    site = installed({"": plugin}, tmp_path / "site")
    path = [tmp_path / "other", site]
    assert "1 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(plugin), path=path, cwd=tmp_path)
    assert "each: float = 12.5" in python("-m", "modelwright", "show", "ice-topping/nut_crunch", path=path, cwd=tmp_path)
    assert "each: 12.5" in python("-m", "modelwright", "show", "ice-topping/nut_crunch_as_it_is", path=path, cwd=tmp_path)


def test_imports_are_put_in_order() -> None:
    text = "import torch\n\nfrom mine.x import Y\nfrom modelwright.api import Job\nimport csv\n\nX = 1\nif X:\n"
    ordered = "import csv\n\nimport torch\nfrom modelwright.api import Job\n\nfrom mine.x import Y\n\nX = 1\nif X:\n"
    inside, ordered_inside = "    from mine import z\n    import os\n", "    import os\n\n    from mine import z\n"
    assert regrouped(text + inside, "mine") == ordered + ordered_inside
