from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import TOY

HEAVY = ("torch", "megatron", "datatrove", "transformers", "wandb", "numpy", "hydra")


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "filter"], ["run", "--help"]])
def test_help_and_list_import_nothing_heavy(words):
    code = (
        f"import sys; from modelwright.cli import command; command(sys.argv[1:]);sys.exit([m for m in {HEAVY!r} if m in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "modelwright" in done.stdout or "filter" in done.stdout


def test_the_core_never_imports_what_belongs_in_components():
    code = "import pkgutil, importlib, sys, modelwright\n"
    code += "for m in pkgutil.iter_modules(modelwright.__path__):\n"
    code += "    m.name in ('__main__', 'conf', 'recipes') or importlib.import_module('modelwright.' + m.name)\n"
    code += f"sys.exit([m for m in {HEAVY[:5]!r} if m in sys.modules] or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_core_is_small():
    from pathlib import Path

    import modelwright

    assert sum(len(p.read_text().splitlines()) for p in Path(modelwright.__file__).parent.glob("*.py")) < 1500


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "no command named 'lst'; did you mean 'list'?"),
        (["list", "optimiser"], "no kind named 'optimiser'; did you mean 'optimizer'?"),
        (["show", "shape/sqare"], "no shape named 'sqare'; did you mean 'square'?"),
        (["show", "square"], "show takes kind/name, as in shape/square"),
        (["show"], "show what?"),
        (["resume"], "resume which run?"),
        (["resume", "nowhere"], "nowhere is not the folder of a run"),
        (["run", "toy"], "'toy' is not of the form key=value; did you mean recipe=toy?"),
        (["run", "recipe=toy", "shpae=x"], "there is no 'shpae'; did you mean 'shape'?"),
        (["run", "recipe=toy", "draw.lines", "=", "2"], "'draw.lines' stands alone; write key=value without spaces round the ="),
        (["run", "recipe=toy", "draw.line=2"], "override draw.line=2: there is no 'draw.line'; did you mean 'draw.lines'?"),
        (["run", "recipe=toy", "+draw.lines=2"], "override +draw.lines: it is there already; leave out the +"),
        (["run", "recipe=toy", "~color"], "override ~color: choose another color (color=NAME), or none of a list (color=[])"),
        (["run", "recipe=toy", "draw.lines=1,2"], "override draw.lines=1,2: to sweep over several values add -m; a list is written [a,b]"),
        (["run", "recipe=./nope.yaml"], "no recipe file './nope.yaml'"),
        (["run", "recipe=toy", "run.dir=/proc/x"], "/proc/x: No such file or directory"),
        (["run"], "no stages to run: pick a recipe (recipe=pretrain/quickstart)"),
        (["plan", "recipe=toy", "paint.workers=0"], "paint: paint.workers: at least 1"),
        (
            ["run", "recipe=toy", "draw.fail=disk"],
            "No space left on device; free space, or name another folder: run.dir=PATH",
        ),
        (["run", "recipe=toy", "run.dir=/dev/null/x"], "/dev/null/x: Not a directory"),
        (["compare", "."], "is neither a run nor a sweep"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(modelwright, words, said):
    code, _, errors = modelwright(*words)
    assert (code, errors.count("\n")) == (2, 1) and errors.startswith("modelwright: ") and said in errors, errors


def test_a_bug_in_a_stage_is_one_line_and_a_traceback_with_debug(modelwright):
    code, _, errors = modelwright("run", "recipe=toy", "draw.fail=boom")
    assert (code, errors.count("\n")) == (1, 1) and "RuntimeError: boom" in errors
    code, _, errors = modelwright("--debug", "run", "recipe=toy", "draw.fail=boom")
    assert code == 1 and "Traceback" in errors and "raise OSError" in errors


def test_nothing_is_left_of_a_run_that_never_started(modelwright, tmp_path):
    _, said, _ = modelwright("run", "recipe=toy", "shape.radius=-1")
    assert not (tmp_path / "runs").exists() and not said


def test_a_recipe_beside_one_is_suggested_and_a_killed_run_is_called_so(modelwright, tmp_path):
    (tmp_path / "mine.yaml").write_text("stages: [draw]\n")
    assert "did you mean ./mine.yaml?" in modelwright("run", "recipe=mine")[2]
    assert modelwright("run", "recipe=./mine.yaml", "run.dir=out")[0] == 0
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"status": "finished"', '"status": "running"'))
    assert "killed" in modelwright("compare", "out")[1]


def test_a_sweep_has_a_folder_a_job_and_a_table_and_goes_on_after_a_failure(modelwright, tmp_path):
    code, said, errors = modelwright("run", "recipe=toy", "draw.lines=1,4", "paint.workers=2,0", "-m", "run.dir=sweep")
    assert code == 1, errors
    table = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line[:3] in ("0  ", "1  ", "2  ", "3  ")}
    assert table["0"] == ["finished", "1", "2", "1", "2"]
    assert table["3"] == ["failed", "4", "0", "-", "-"]
    assert json.loads((tmp_path / "sweep" / "2" / "manifest.json").read_text())["stages"]["draw"]["results"] == {"lines": 4}
    assert "1 failed: paint: paint.workers: at least 1" in said


def test_every_value_of_a_sweep_is_checked_before_anything_runs(modelwright, tmp_path):
    code, _, errors = modelwright("run", "recipe=toy", "draw.lines=1,4", "shape.radius=1,-1", "-m", "run.dir=sweep")
    assert (code, errors) == (2, "modelwright: override shape.radius=-1: shape: radius must be positive, not -1.0\n")
    code, _, errors = modelwright("run", "recipe=toy", "draw.lines=1", "-m", "run.dir=sweep")
    assert code == 2 and "there is nothing to sweep" in errors and not (tmp_path / "sweep").exists()


def test_the_last_lines_say_where_the_run_is_and_what_to_try(modelwright):
    _, said, _ = modelwright("run", "recipe=toy", "run.dir=here")
    *_, where, heading, command = said.splitlines()
    assert (where, heading) == ("The run is in here", "Try next:") and command.endswith("modelwright run recipe=toy draw.lines=3")


def test_a_broken_plugin_is_listed_and_named_where_it_is_needed(modelwright, tmp_path):
    info = tmp_path / "site" / "bad-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[modelwright]\nbad = no_such_module\n")
    path = f"{tmp_path / 'site'}:{TOY}"
    _, said, _ = modelwright("list", PYTHONPATH=path)
    assert "broken plugin bad: ModuleNotFoundError: No module named 'no_such_module'" in said
    code, _, errors = modelwright("plan", "recipe=toy", "shape=theirs", PYTHONPATH=path)
    assert code == 2 and "no shape named 'theirs'" in errors and "plugin 'bad' did not load" in errors
    assert modelwright("plan", "recipe=toy", PYTHONPATH=path)[0] == 0


def test_a_page_shows_parameters_with_types_defaults_and_comments(modelwright):
    _, said, _ = modelwright("show", "shape/circle")
    assert "radius: float = 1.0\n      metres; a # in a comment" in said and "A round one." in said
    _, said, _ = modelwright("show", "shape/square")
    assert "side: float = (required)\n      metres, of one side" in said and "presets: -" in said
    _, said, _ = modelwright("show", "color/blue")
    assert "presets: deep" in said
    _, said, _ = modelwright("show", "recipe/toy")
    assert "stages: [draw, paint]" in said
