"""Pipelines as a person runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_pipelines import THREE, Home

from modelwright_plugins.catalogue import recipes
from modelwright_plugins.pipeline.phases import is_pipeline


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


RUN = ("run", "recipe=./three.yaml", "run.dir=out")


def test_each_phase_takes_what_those_before_it_made_and_the_end_has_one_table(home):
    code, said, errors = home.modelwright(*RUN, "second.paint.workers=2", "seed=7")
    assert (code, errors) == (0, "")
    rows = [line.split() for line in said.splitlines() if line.startswith("  ")]
    assert rows[:3] == [["sketch", "first", "second"], ["draw.lines", "3", "-", "-"], ["paint.ranks", "-", "1", "2"]]
    assert "The pipeline is in out; open out/report.html" in said and "recipe=./three.yaml draw.lines=5" in said
    sketch, first, second = (home.manifest(f"out/{name}") for name in ("sketch", "first", "second"))
    assert (first["from"], second["from"]) == (str(home.folder / "out/sketch"),) * 2
    assert first["stages"]["paint"]["inputs"] == {"picture.txt": sketch["stages"]["draw"]["artifacts"]["picture.txt"]["hash"]}
    assert {m["seed"] for m in (sketch, first, second)} == {7}
    assert second["overrides"][-2:] == ["paint.workers=2", "seed=7"]
    assert (home.folder / "out/second/paint/painted/1.txt").read_text().endswith("['deep'] 2")
    assert home.modelwright(*RUN, "draw.lines=4")[2] == (
        "modelwright: run.dir: out holds another pipeline (phase sketch has other settings); resume it, or name another folder\n"
    )
    code, again, _ = home.modelwright("resume", "out")
    assert code == 0 and again.count("finished already") == 3 and home.manifest("out/second")["stages"] == second["stages"]
    code, reused, _ = home.modelwright("run", "recipe=./three.yaml", "run.dir=other", "seed=7")
    assert code == 0 and reused.count("taken from there") == 2  # the third has other workers


def test_what_a_run_lacks_comes_from_the_run_that_it_is_from_and_so_on_back(home):
    """A chain: the third phase builds on the second, which has no picture; the first made it."""
    (home.folder / "chain.yaml").write_text(THREE.replace("    from: sketch\n", ""))
    code, _, errors = home.modelwright("run", "recipe=./chain.yaml", "run.dir=out")
    assert (code, errors) == (0, "")
    second = home.manifest("out/second")
    assert second["from"] == str(home.folder / "out/first")
    assert second["stages"]["paint"]["inputs"] == home.manifest("out/first")["stages"]["paint"]["inputs"]
    paint = ("run", "recipe=toy", "stages=[paint]", "paint.workers=1")
    assert home.modelwright(*paint, "from=out/second", "run.dir=single", "run.reuse=false")[0] == 0  # an ordinary run, too
    (home.folder / "out/sketch/manifest.json").unlink()
    code, _, errors = home.modelwright(*paint, "from=out/second", "run.dir=later")
    assert code == 2 and "no finished stage of" in errors and "made picture.txt" in errors
    assert f"it goes back to {home.folder / 'out/sketch'}, where there is no run any more" in errors


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sketchh.draw.lines=3", "no phase, setting, kind or stage is called 'sketchh'; did you mean 'sketch'?"),
        ("sketch.draw.linees=4", "phase sketch: override draw.linees=4: there is no 'draw.linees'; did you mean 'draw.lines'?"),
        ("sketch.recipe=toyy", "phase sketch: no recipe named 'toyy'; did you mean 'toy'?"),
        ("second.from=frist", "no phase before it is called 'frist'; did you mean 'first'?"),
        ("second.stages=[paint,paintt]", "phase second: override stages=[paint,paintt]: stages: no stage named 'paintt'; did you mean"),
        ("second.from=null", "phase second: stage 'paint' takes picture.txt, which no stage before it makes"),
        ("second.paint.workers=0", "phase second: paint: paint.workers: at least 1"),
        ("first.from=runs/none", "phase first: from: "),
        ("seed=x", "phase sketch: override seed=x: seed: 'x' won't do"),
        ("sketch=3", "'sketch' is a phase; its settings are sketch.KEY=VALUE"),
        ("-m", "a pipeline is one job and is not swept"),
        ("hydra.mode=RUN", "it takes none of hydra's settings"),
        ("first.run.dir=x", "a phase's folder is that of the pipeline and its name"),
    ],
)
def test_a_wrong_word_stops_the_pipeline_before_its_first_phase(tmp_path, toy_alone, word, said, capsys):
    from modelwright.errors import ModelwrightError
    from modelwright_plugins.command.run import Run

    (tmp_path / "three.yaml").write_text(THREE)
    with pytest.raises(ModelwrightError) as caught:
        Run().run([f"recipe={tmp_path / 'three.yaml'}", f"run.dir={tmp_path / 'out'}", word])
    assert said in str(caught.value) and "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    assert capsys.readouterr().out == ""


@pytest.fixture
def toy_alone(monkeypatch, tmp_path):
    """The toy plugin beside the built-in one, in this process."""
    from importlib.metadata import EntryPoint

    from toy_pipelines import TOY

    from modelwright import hooks

    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("MODELWRIGHT_CACHE", str(tmp_path / "cache"))
    entries = [EntryPoint("builtin", "modelwright_plugins.register", "modelwright"), EntryPoint("toy", "toy_plugin", "modelwright")]
    monkeypatch.setattr(hooks, "entry_points", lambda group: entries)
    hooks.discover.cache_clear()
    yield
    hooks.discover.cache_clear()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("pipeline: []", "pipeline: it is a list of phases"),
        ("pipeline: [{name: draw}]", "a phase can't be called 'draw': that is a stage"),
        ("pipeline: [{name: seed}]", "a phase can't be called 'seed': that is a setting"),
        ("pipeline: [{name: color}]", "a phase can't be called 'color': that is a kind"),
        ("pipeline: [{name: ../up}]", "it has letters, digits, _ and -"),
        ("pipeline: [{name: a}, {name: a}]", "there is one already"),
        ("pipeline: [{name: a, overides: [x=1]}]", "phase 'a' has no key 'overides'; did you mean 'overrides'?"),
        ("pipeline: [{name: a, overrides: [x]}]", "phase 'a': overrides: 'x' is not of the form key=value"),
        ("pipeline: [{name: a, overrides: [x: 1]}]", "it is a list of words such as train.steps=10"),
        ("pipeline: [{name: a, from: b}]", "from: no phase before it is called 'b'; it is the first"),
        ("pipeline: [{name: a}]\nseed: 3", "a pipeline's file has no key 'seed'"),
        ("pipeline: [{name: a}", "not YAML"),
        ("pipeline: [{name: a, overrides: [recipe=scaling/ladder]}]", "phase a: its recipe is a sweep, and a phase is one run"),
        ("pipeline: [{name: a, overrides: ['shape._target_=os.system']}]", "phase a: "),
    ],
)
def test_a_file_that_is_no_pipeline_is_told_in_one_line(tmp_path, toy_alone, file, said):
    from modelwright.errors import ModelwrightError
    from modelwright_plugins.command.run import Run

    (tmp_path / "mine.yaml").write_text(file)
    with pytest.raises(ModelwrightError) as caught:
        Run().run([f"recipe={tmp_path / 'mine.yaml'}", f"run.dir={tmp_path / 'out'}"])
    assert said in str(caught.value) and "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_pipeline_killed_in_any_phase_goes_on_to_the_same_artifacts(home):
    assert home.modelwright(*RUN[:2], "run.dir=whole", "run.reuse=false")[0] == 0
    whole = home.hashes("whole")
    assert len(whole) == 3
    for number, file in enumerate(("pipeline.json", "sketch/manifest.json", "first/logs/paint.rank0.log", "second/logs/paint.rank0.log")):
        folder = f"killed{number}"
        words = (*RUN[:2], f"run.dir={folder}", "run.reuse=false")
        code, _, _ = home.end_when(f"{folder}/{file}", signal.SIGKILL, *words)
        assert code == -signal.SIGKILL
        code, said, errors = home.modelwright("resume", folder)
        assert (code, errors) == (0, ""), said
        assert home.hashes(folder) == whole
    assert home.modelwright(*words)[0] == 0  # the command itself goes on, too


def test_a_pipeline_killed_while_it_is_frozen_can_be_begun_again(home):
    (home.folder / "out/sketch").mkdir(parents=True)
    (home.folder / "out/sketch/config.yaml").write_text("half")
    assert home.modelwright(*RUN, "first.paint.workers=1")[0] == 0
    (home.folder / "mine").mkdir()
    (home.folder / "mine/notes.txt").write_text("mine")
    assert "is not empty and is not a pipeline" in home.modelwright(*RUN[:2], "run.dir=mine")[2]


def test_ctrl_c_and_a_failure_say_how_to_go_on(home):
    file = "out/second/logs/paint.rank0.log"
    code, said, errors = home.end_when(file, signal.SIGINT, *RUN, "second.paint.die=5:raise", "second.paint.workers=2")
    assert (code, errors) == (130, "modelwright: stopped\n") and "resume out   goes on from the last checkpoint" in said
    code, said, errors = home.modelwright("run", "recipe=./three.yaml", "run.dir=bad", "second.draw.fail=no", "sketch.draw.fail=full")
    assert code == 1 and "resume bad   goes on from here, when what stopped it is mended" in said and "full" in errors
    assert "0 of 3 phases" in (page := (home.folder / "bad/report.html").read_text()) and "failed" in page


def test_a_pipelines_record_may_be_anybodys(home):
    (home.folder / "theirs").mkdir()
    for record in (
        {"phases": []},
        {"recipe": "x", "words": [], "next": [], "phases": [{"name": "../x", "from": None, "overrides": []}]},
        3,
    ):
        (home.folder / "theirs/pipeline.json").write_text(json.dumps(record))
        code, _, errors = home.modelwright("resume", "theirs")
        assert code == 2 and "pipeline.json" in errors and errors.count("\n") == 1


def test_a_moved_pipeline_does_not_build_on_what_is_at_the_old_place(home):
    assert home.modelwright(*RUN)[0] == 0
    Path(home.folder / "out").rename(home.folder / "moved")
    code, _, errors = home.modelwright("resume", "moved")
    assert code == 2 and "was moved" in errors


def test_lists_within_lists_of_overrides_are_what_they_hold(tmp_path, toy_alone):
    from modelwright_plugins.pipeline.phases import read

    (tmp_path / "mine.yaml").write_text(
        "pipeline:\n- {name: a, overrides: &a [x=1, y=2]}\n- {name: b, from: null, overrides: [*a, [[y=3]], '~z']}"
    )
    found = read(tmp_path / "mine.yaml", "mine")
    assert [(p.builds_on, p.overrides) for p in found.phases] == [(None, ("x=1", "y=2")), (None, ("x=1", "y=2", "y=3", "~z"))]


def test_marks_stand_before_the_phase(tmp_path, toy_alone):
    from modelwright_plugins.pipeline.phases import read, shared

    (tmp_path / "three.yaml").write_text(THREE)
    found = shared(read(tmp_path / "three.yaml", "three"), ["++first.draw.lines=2", "~second.color", "from=earlier", "second.from=first"])
    sketch, first, second = found.phases
    assert first.overrides[-1] == "++draw.lines=2" and second.overrides[-1] == "~color"
    assert [p.builds_on for p in found.phases] == [str(Path("earlier").absolute()), "sketch", "first"]
    assert not {"++draw.lines=2", "~color"} & {*sketch.overrides}


def test_plan_names_the_phase_that_makes_what_is_taken(tmp_path, toy_alone, capsys):
    from modelwright_plugins.command.plan import Plan

    (tmp_path / "chain.yaml").write_text(THREE.replace("    from: sketch\n", ""))  # the phase just before makes none of it
    assert Plan().run([f"recipe={tmp_path / 'chain.yaml'}"]) == 0
    assert "3/3: second, from first" in (said := capsys.readouterr().out) and said.count("picture.txt (from sketch)") == 2


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name, path in recipes().items() if is_pipeline(path)])
def test_a_pipeline_of_ours_plans_and_so_does_what_it_says_to_try(recipe, tmp_path, monkeypatch):
    from modelwright_plugins.pipeline import composing
    from modelwright_plugins.pipeline.composing import compose, troubles
    from modelwright_plugins.pipeline.phases import asked, shared

    known, really = {}, composing._composed

    def once(phase, *rest):
        """What it says to try changes a phase or two: the others are what they were."""
        return known[repr(phase)] if repr(phase) in known else known.setdefault(repr(phase), really(phase, *rest))

    monkeypatch.setattr(composing, "_composed", once)
    found = asked([f"recipe={recipe}"])
    for words in ("", *found.next):
        assert troubles(compose(shared(found, words.split()), tmp_path)) == []


@pytest.mark.slow
def test_processes_that_torchrun_started_join_every_phase(home):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29713", "-m", "modelwright"]
    words = ["run", "recipe=./three.yaml", "first.paint.workers=2", "second.paint.workers=2"]
    done = subprocess.run([*torchrun, *words, "run.dir=out"], cwd=home.folder, env=home.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert home.manifest("out/second")["stages"]["paint"]["ranks"] == 2
    assert (home.folder / "out/second/paint/painted/1.txt").exists() and done.stdout.count("phase 3/3: second") == 1
    words[-1] = "second.paint.workers=1"
    done = subprocess.run([*torchrun, *words, "run.dir=not"], cwd=home.folder, env=home.env, capture_output=True, text=True, timeout=300)
    assert "phase second: stage 'paint' needs 1 ranks, and 2 were started" in done.stderr and not (home.folder / "not").exists()


def test_a_page_that_can_not_be_written_does_not_end_a_pipeline(home):
    (home.folder / "out").mkdir()
    assert home.modelwright(*RUN)[0] == 0
    (home.folder / "out/report.html").unlink()
    (home.folder / "out/report.html").mkdir()
    code, said, errors = home.modelwright("resume", "out")
    assert code == 0 and "phase 3/3" in said and "report.html could not be written" in errors
