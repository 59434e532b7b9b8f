"""Plugins that are broken, duplicate, mismatched, half installed or malicious: one line each, and everybody else's parts still work.

What the registry and the hooks do with plugins that exist in memory is in test_registry.py and test_hooks.py; here they are installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TOY

pytestmark = pytest.mark.slow

REGISTER = """
from modelwright.hooks import hookimpl
@hookimpl
def modelwright_register(registry):
    registry.add("shape", "theirs", "TARGET")
"""
PART = """
from __future__ import annotations
from dataclasses import dataclass, field
from toy_plugin.parts import Shape
@dataclass(frozen=True, kw_only=True)
class Theirs(Shape):
    '''Theirs.'''
"""
Install = Callable[..., str]


@pytest.fixture
def installed(tmp_path: Path) -> Install:
    """Put a plugin into a site folder as pip would, and give back the PYTHONPATH that has it, the toy plugin and the built-in parts."""

    def install(name: str, text: str, *, entry: str | None = None, point: str | None = None, **modules: str) -> str:
        site = tmp_path / "site"
        package = site / name
        package.mkdir(parents=True)
        for module, body in {"__init__": text, **modules}.items():
            (package / f"{module}.py").write_text(textwrap.dedent(body))
        info = site / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[modelwright]\n{point or name} = {entry or name}\n")
        return f"{site}:{TOY}"

    return install


SAYING = """
import contextlib, io, json, sys
from modelwright.cli import command, complain
from modelwright.errors import ModelwrightError
from modelwright_plugins.command import doctor
doctor._devices = lambda: iter(())  # torch takes seconds
said = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = command(words)
        except ModelwrightError as e:
            code = 2
            complain(str(e).splitlines())
    said.append((code, out.getvalue(), errors.getvalue()))
print(json.dumps(said))
"""


@pytest.fixture
def say(tmp_path: Path):
    """Several command lines in one process, with this path: [(exit code, output, errors)]."""

    def run(path: str, *lines: str) -> list[tuple[int, str, str]]:
        given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))}
        words = [sys.executable, "-c", SAYING, json.dumps([line.split() for line in lines])]
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=given, timeout=120)
        assert done.returncode == 0, done.stderr
        return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]

    return run


@pytest.fixture
def told(say):
    """The line of `list` and that of `doctor` about this plugin, and what another command says; recipes that don't need it still plan."""

    def ask(path: str, plugin: str, then: str = "plan recipe=toy shape=theirs") -> tuple[str, str, tuple[int, str, str]]:
        listed, checked, planned, other = say(path, "list", "doctor", "plan recipe=toy", then)
        assert listed[0] == checked[0] == 0
        assert planned[0] == 0 and not planned[2] and "[1/2] draw" in planned[1], planned[2]
        lines = [next((line.strip() for line in said.splitlines() if plugin in line), "") for said in (listed[1], checked[1])]
        return lines[0], lines[1], other

    return ask


BROKEN = {
    "raises": ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "wrong syntax": ("def x(:", "SyntaxError: invalid syntax (__init__.py, line 1)"),
    "exits": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "imports what is missing": ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
    "newer": ("MODELWRIGHT_API = 2", "it needs plugin API 2; this is 1"),
    "names no API": ("MODELWRIGHT_API = 'one'", "it needs plugin API one; this is 1"),
    "wrong argument": (REGISTER.replace("(registry)", "(registy)"), "registy"),
    "hook with a typo": (
        "from modelwright.hooks import hookimpl\n@hookimpl\ndef on_step_ends(step): pass",
        "there is no hook 'on_step_ends'; did you mean 'on_step_end'?",
    ),
    "unmarked hook": (
        "def modelwright_register(registry): pass",
        "modelwright_register is not marked as a hook: put @hookimpl above it",
    ),
    "takes a name": (
        REGISTER.replace("theirs", "circle").replace("TARGET", "zz.parts:Circle"),
        "shape/circle of plugin 'zz' (zz.parts:Circle) is taken already by plugin 'toy' (toy_plugin.parts:Circle)",
    ),
    "takes a built-in name": (
        REGISTER.replace('"shape", "theirs"', '"optimizer", "muon"').replace("TARGET", "zz.parts:Muon"),
        "optimizer/muon of plugin 'zz' (zz.parts:Muon) is taken already by plugin 'builtin' (modelwright_plugins.optimizer.muon:Muon)",
    ),
    "takes a command": (
        REGISTER.replace('"shape", "theirs"', '"command", "run"').replace("TARGET", "os:system"),
        "command/run of plugin 'zz' (os:system) is taken already by plugin 'builtin'",
    ),
    "takes a kind": (
        REGISTER.replace('add("shape", "theirs", "TARGET")', 'add_kind("optimizer", "zz:X")'),
        "kind 'optimizer' of plugin 'zz' is there already, from plugin 'builtin'",
    ),
    "unknown kind": (REGISTER.replace('"shape"', '"shpe"'), "shpe/theirs: no kind named 'shpe'; did you mean 'shape'?"),
    "no presets": (
        "from modelwright.hooks import hookimpl\n@hookimpl\ndef modelwright_conf(): return 'pkg://zz.conf'",
        "ModuleNotFoundError: No module named 'zz.conf'",
    ),
    "presets nowhere": (
        "from modelwright.hooks import hookimpl\n@hookimpl\ndef modelwright_conf(): return ['conf']",
        "modelwright_conf gives ['conf']; expected pkg://PACKAGE or file://FOLDER",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_plugin_that_does_not_load(installed, told, case):
    text, why = BROKEN[case]
    path = installed("zz", text.replace("TARGET", "zz.parts:Theirs") if "TARGET" in text else text)
    listed, checked, (code, _, errors) = told(path, " zz")
    assert listed.startswith("broken plugin zz: ") and why in listed
    assert checked.startswith("zz") and "BROKEN: " in checked and why in checked
    assert code == 2 and errors.count("\n") == 1 and "no shape named 'theirs'" in errors and why in errors


def test_an_entry_point_without_its_module(installed, told):
    path = installed("zz", "", entry="zz.gone", point="zz")
    assert told(path, " zz")[0] == "broken plugin zz: ModuleNotFoundError: No module named 'zz.gone'"


def test_an_entry_point_without_its_attribute(installed, told):
    path = installed("zz", "", entry="zz:Plugin")
    assert told(path, " zz")[0] == "broken plugin zz: AttributeError: module 'zz' has no attribute 'Plugin'"


def test_two_distributions_with_one_entry_point(installed, told):
    installed("aa", REGISTER.replace("TARGET", "aa.parts:Theirs"), point="same", parts=PART)
    path = installed("zz", REGISTER.replace("TARGET", "zz.parts:Theirs"), point="same", parts=PART)
    assert told(path, " same:")[0] == "broken plugin same: two plugins bear this name"


def test_two_plugins_with_one_component(installed, told):
    installed("yy", REGISTER.replace("TARGET", "yy.parts:Theirs"), parts=PART)
    path = installed("zz", REGISTER.replace("TARGET", "zz.parts:Theirs"), parts=PART)
    listed, _, (code, _, errors) = told(path, "broken plugin")
    assert listed == "broken plugin zz: shape/theirs of plugin 'zz' (zz.parts:Theirs) is taken already by plugin 'yy' (yy.parts:Theirs)"
    assert code == 0, errors


def test_a_kind_may_come_from_a_plugin_later_in_the_order(installed, told):
    path = installed("aa", REGISTER.replace("TARGET", "aa.parts:Theirs"), parts=PART)  # `shape` is the toy's
    listed, _, (code, _, errors) = told(path, "broken plugin")
    assert code == 0 and not listed, errors


@pytest.mark.parametrize("lost", ["METADATA", "entry_points.txt", "package", "both"])
def test_a_half_installed_one(installed, told, tmp_path, lost):
    """What an interrupted `pip install` or `pip uninstall` leaves."""
    path = installed("zz", REGISTER.replace("TARGET", "zz.parts:Theirs"), parts=PART)
    info = tmp_path / "site" / "zz-1.dist-info"
    if lost in {"METADATA", "entry_points.txt"}:
        (info / lost).unlink()
    if lost in {"package", "both"}:
        for file in (tmp_path / "site" / "zz").rglob("*.py"):
            file.unlink()
        (tmp_path / "site" / "zz").rmdir()
    if lost == "both":
        (info / "METADATA").unlink()
    listed, _, _ = told(path, " zz")
    assert (
        listed == ("broken plugin zz: ModuleNotFoundError: No module named 'zz'" if lost in {"package", "both"} else "") or "(zz)" in listed
    )


PARTS = {  # what the module of the component holds -> what picking it says
    "another interface": (
        PART.replace("parts import Shape", "parts import Color as Shape"),
        "zz.parts:Theirs of plugin 'zz' does not extend toy_plugin.parts:Shape",
    ),
    "no component": ("class Theirs: pass", "zz.parts:Theirs of plugin 'zz' does not extend toy_plugin.parts:Shape"),
    "a function": ("def Theirs(): open('canary', 'w')", "zz.parts:Theirs of plugin 'zz' does not extend toy_plugin.parts:Shape"),
    "no dataclass": (
        PART.replace("@dataclass(frozen=True, kw_only=True)", "") + "    size: int = 3\n",
        "zz.parts:Theirs of plugin 'zz' is not a @dataclass(frozen=True, kw_only=True)",
    ),
    "not frozen": (
        PART.replace("frozen=True, ", ""),
        "zz.parts:Theirs of plugin 'zz' does not import: TypeError: cannot inherit non-frozen dataclass from a frozen one",
    ),
    "mutable default": (
        PART + "    sizes: list[int] = []\n",
        "does not import: ValueError: mutable default <class 'list'> for field sizes is not allowed: use default_factory",
    ),
    "a parameter called name": (
        PART + "    name: str = ''\n",
        "zz.parts:Theirs: a parameter can't be called 'name', it names the component",
    ),
    "an unreadable annotation": (
        PART + "    size: Gone = 1\n",
        "zz.parts:Theirs: its annotations can't be read: NameError: name 'Gone' is not defined",
    ),
    "a type that no config has": (PART + "    sizes: set[int] = None\n", "zz.parts:Theirs: Unexpected type annotation: set[int]"),
    "it raises": (
        PART + "    def __post_init__(self): 1 / 0\n",
        "override shape=theirs: shape: zz.parts:Theirs does not build: ZeroDivisionError: division by zero",
    ),
    "it exits": (PART + "    def __post_init__(self): raise SystemExit(7)\n", "shape: zz.parts:Theirs does not build: SystemExit: 7"),
    "wrong syntax": ("class Theirs(:", "zz.parts:Theirs of plugin 'zz' does not import: SyntaxError"),
    "exits on import": ("raise SystemExit(7)", "zz.parts:Theirs of plugin 'zz' does not import: SystemExit: 7"),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_component_that_is_none(installed, told, tmp_path, case):
    body, why = PARTS[case]
    listed, _, (code, _, errors) = told(installed("zz", REGISTER.replace("TARGET", "zz.parts:Theirs"), parts=body), "theirs ")
    assert listed.startswith("theirs ")
    assert code == 2 and errors.count("\n") == 1 and why in errors, errors
    assert not (tmp_path / "canary").exists()


def test_a_broken_stage_stops_only_the_recipes_that_name_it(installed, told):
    text = REGISTER.replace('"shape", "theirs"', '"stage", "theirs"').replace("TARGET", "zz.parts:Theirs")
    body = PART.replace("toy_plugin.parts import Shape", "modelwright.component import Stage as Shape") + "    size: Gone = 1\n"
    path = installed("zz", text, parts=body + "    def run(self, job): pass\n")
    _, _, (code, _, errors) = told(path, "zz", "plan recipe=toy stages=[theirs]")
    assert code == 2 and errors.count("\n") == 1 and "its annotations can't be read" in errors


@pytest.mark.parametrize("target", ["os:system", "builtins:eval", "subprocess:Popen", "zz.evil:run"])
def test_a_target_that_is_no_component_is_refused(installed, told, say, tmp_path, target):
    path = installed("zz", REGISTER.replace("TARGET", target), evil=f"open({str(tmp_path / 'canary')!r}, 'w').close()\nrun = print\n")
    say(path, "list", "doctor", "show shape", "completion suggest shape=")
    assert not (tmp_path / "canary").exists(), "listing imports nothing"
    listed, checked, (code, _, errors) = told(path, "theirs")
    assert code == 2 and errors.count("\n") == 1
    assert f"{target} of plugin 'zz' does not extend toy_plugin.parts:Shape" in errors
    assert target == "subprocess:Popen" or ("theirs  (broken: " in listed and "shape/theirs" in checked)


def test_what_a_plugin_prints_is_no_part_of_our_output(installed, modelwright):
    path = installed("zz", "print('HELLO')\n" + REGISTER.replace("TARGET", "zz.parts:Theirs"), parts=PART)
    _, said, errors = modelwright("completion", "suggest", "modelwright list sha", PYTHONPATH=f"{path}:{os.environ.get('PYTHONPATH', '')}")
    assert said == "shape\n" and errors == "HELLO\n"


HOOKS = """
import sys, time
from modelwright.hooks import hookimpl
@hookimpl
def on_run_start(run, config):
    config["draw"]["lines"] = 99
    config["stages"].clear()
    BODY
@hookimpl
def on_step_end(step, metrics):
    metrics["loss"] = -1.0
    BODY
@hookimpl
def on_run_end(run, error):
    (run / "zz.txt").write_text("ended")
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("1 / 0", "on_run_start of plugin 'zz' failed: ZeroDivisionError: division by zero"),
        ("sys.exit(5)", "on_run_start of plugin 'zz' failed: SystemExit: 5"),
        ("time.sleep(0.1)", ""),
    ],
)
def test_a_hook_that_fails_or_meddles_does_not_change_the_run(installed, modelwright, tmp_path, body, why):
    path = installed("zz", HOOKS.replace("BODY", body))
    code, _, errors = modelwright("run", "recipe=toy", "run.dir=out", PYTHONPATH=f"{path}:{os.environ.get('PYTHONPATH', '')}")
    assert code == 0 and why in errors and "Traceback" not in errors, errors
    assert len((tmp_path / "out" / "draw" / "picture.txt").read_text().splitlines()) == 2
    assert (tmp_path / "out" / "paint").is_dir() and (tmp_path / "out" / "zz.txt").read_text() == "ended"


def test_one_hook_does_not_change_what_the_next_sees(install_plugins, monkeypatch):
    import types

    from modelwright.hooks import Hooks, hookimpl

    seen = []
    loaded, first, second = Hooks(), types.ModuleType("first"), types.ModuleType("second")
    first.on_step_end = hookimpl(lambda step, metrics: metrics.clear())
    second.on_step_end = hookimpl(lambda metrics: seen.append(metrics))
    loaded.load("a", lambda: first)
    loaded.load("b", lambda: second)
    told = {"loss": 1.0}
    loaded.call("on_step_end", step=1, metrics=told)
    assert seen == [told] == [{"loss": 1.0}]
