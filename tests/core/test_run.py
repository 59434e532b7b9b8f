from __future__ import annotations

import json
import os
import types

import pytest

from modelwright.compose import composed
from modelwright.errors import ModelwrightError, Pruned
from modelwright.hooks import hookimpl
from modelwright.run import read_manifest, resume, start

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture(autouse=True)
def child_processes_see_the_toy(monkeypatch, toy):
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "toy"))


def drawn(tmp_path, name, *overrides):
    return start(composed(["recipe=toy", "stages=[draw]", *overrides]), tmp_path / name, list(overrides))


def test_a_run_leaves_what_it_was_made_of_and_what_it_made(tmp_path):
    manifest = start(composed(["recipe=toy"]), tmp_path / "run", ["x=1"])
    assert (tmp_path / "run" / "picture.txt").read_text() == "Circle(radius=1.0, center=Point(x=0, y=0)) 1234\n" * 2
    assert (tmp_path / "run" / "paint" / "painted" / "1.txt").read_text().endswith("['deep', 'red'] 2")
    assert manifest == read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["seed"], manifest["overrides"], manifest["recipe"]) == ("finished", 1234, ["x=1"], "toy")
    assert manifest["plugins"]["toy"] == "toy 0.1" and manifest["versions"]["modelwright"]
    drawing, painting = manifest["stages"]["draw"], manifest["stages"]["paint"]
    assert painting["inputs"] == {"picture.txt": drawing["artifacts"]["picture.txt"]["hash"]}
    assert (drawing["results"], painting["results"], painting["ranks"]) == ({"lines": 2}, {"ranks": 2}, 2)
    assert "rank 1 of 2 speaks" in (tmp_path / "run" / "logs" / "paint.rank1.log").read_text()
    assert "rank 0 of 2 speaks" in (tmp_path / "run" / "logs" / "paint.rank0.log").read_text()


def test_resume_runs_only_what_is_not_finished(tmp_path, capsys):
    with pytest.raises(Exception, match="paint ran out"):
        start(composed(["recipe=toy", "paint.die=1:raise"]), tmp_path / "run", [])
    assert read_manifest(tmp_path / "run")["status"] == "failed"
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("die: 1:raise", "die: ''"))
    stamp = (tmp_path / "run" / "picture.txt").stat().st_mtime_ns
    assert resume(tmp_path / "run")["status"] == "finished"
    assert (tmp_path / "run" / "picture.txt").stat().st_mtime_ns == stamp and "draw: finished already" in capsys.readouterr().out


def test_a_damaged_artifact_is_made_again(tmp_path):
    drawn(tmp_path, "run")
    (tmp_path / "run" / "draw" / "picture.txt").write_text("torn")
    resume(tmp_path / "run")
    assert "Circle" in (tmp_path / "run" / "draw" / "picture.txt").read_text()


def test_another_run_takes_over_a_stage_with_the_same_identity_and_no_other(tmp_path):
    drawn(tmp_path, "one")
    same, seed, shape = (
        drawn(tmp_path, "same", "color=[]", "paint.workers=1"),
        drawn(tmp_path, "seed", "seed=2"),
        drawn(tmp_path, "shape", "shape.radius=3"),
    )
    assert same["stages"]["draw"]["reused_from"] == str(tmp_path / "one" / "draw")
    assert (tmp_path / "same" / "picture.txt").read_text() == (tmp_path / "one" / "picture.txt").read_text()
    assert not any("reused_from" in m["stages"]["draw"] for m in (seed, shape))
    (tmp_path / "one" / "draw" / "picture.txt").write_text("changed since")
    assert "reused_from" not in drawn(tmp_path, "two")["stages"]["draw"]
    assert "reused_from" not in drawn(tmp_path, "refused", "run.reuse=false")["stages"]["draw"]


def test_an_earlier_run_gives_what_no_stage_makes(tmp_path):
    drawn(tmp_path, "one")
    config = composed(["recipe=toy", "stages=[paint]", f"from={tmp_path / 'one'}"])
    manifest = start(config, tmp_path / "two", [])
    assert (
        manifest["stages"]["paint"]["inputs"]["picture.txt"]
        == read_manifest(tmp_path / "one")["stages"]["draw"]["artifacts"]["picture.txt"]["hash"]
    )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("stages=[paint]", "stage 'paint' takes picture.txt, which no stage before it makes"),
        ("stages=[paint,draw]", "stage 'paint' takes picture.txt, which no stage before it makes"),
        ("stages=[draw,draw]", "'draw' is named twice"),
        ("stages=[]", "no stages to run"),
        ("stages=[paint] from=/nowhere", "/nowhere is not the folder of a run"),
        ("paint.workers=0", "paint: paint.workers: at least 1"),
    ],
)
def test_problems_are_found_before_anything_is_written(tmp_path, overrides, said):
    with pytest.raises(ModelwrightError) as caught:
        start(composed(["recipe=toy", *overrides.split()]), tmp_path / "run", [])
    assert said in str(caught.value) and not (tmp_path / "run").exists()


def test_the_order_of_a_list_is_part_of_a_stages_identity(tmp_path):
    one, two = (start(composed(["recipe=toy", f"color=[{c}]"]), tmp_path / c, []) for c in ("red,blue", "blue,red"))
    assert one["stages"]["paint"]["identity"] != two["stages"]["paint"]["identity"]


def test_a_part_that_no_one_picked(tmp_path):
    config = composed(["recipe=toy"])
    del config["shape"]
    with pytest.raises(ModelwrightError, match=r"shape: stage 'draw' needs one and the recipe picks none; add shape=NAME"):
        start(config, tmp_path / "run", [])


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    drawn(tmp_path, "run")
    with pytest.raises(ModelwrightError, match="holds a run with other settings"):
        drawn(tmp_path, "run", "seed=5")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    with pytest.raises(ModelwrightError, match="is not empty and is not a run"):
        drawn(tmp_path, "thesis")
    assert drawn(tmp_path, "run")["status"] == "finished"  # the same again: nothing to do


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    import fcntl

    drawn(tmp_path, "run")
    with (tmp_path / "run" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ModelwrightError, match="another process is working"):
            resume(tmp_path / "run")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ModelwrightError, match="is not the folder of a run"):
        resume(tmp_path)
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ModelwrightError, match=r"manifest.json is damaged"):
        read_manifest(tmp_path)


def test_the_manifest_is_replaced_whole(tmp_path, monkeypatch):
    from modelwright import manifest

    manifest.write_json(tmp_path / "m.json", {"a": 1})
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        manifest.write_json(tmp_path / "m.json", {"a": 2})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 1}


def test_finished_work_is_put_aside_and_never_deleted(tmp_path):
    drawn(tmp_path, "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("lines: 2", "lines: 3"))
    resume(tmp_path / "run")
    assert len((tmp_path / "run" / "draw" / "picture.txt").read_text().splitlines()) == 3
    (aside,) = (tmp_path / "run").glob("draw.*")
    assert len((aside / "picture.txt").read_text().splitlines()) == 2


@pytest.mark.parametrize("edited", [False, True])
def test_what_an_unfinished_stage_left_is_there_for_the_same_settings_and_inputs_alone(tmp_path, monkeypatch, edited):
    """So a stage that is `resumable` need not ask whose the files in its folder are."""
    from toy_plugin.stages import Draw, Picture

    def run(self, job):
        left = (job.out / "left").exists()
        (job.out / "left").touch()
        if fails.pop():
            raise RuntimeError("no ink")
        job.make(Picture).path.write_text("x")
        return {"left": left}

    fails = [False, True]
    monkeypatch.setattr(Draw, "run", run)
    monkeypatch.setattr(Draw, "resumable", True)
    with pytest.raises(RuntimeError, match="no ink"):
        drawn(tmp_path, "run")
    if edited:
        config = tmp_path / "run" / "config.yaml"
        config.write_text(config.read_text().replace("lines: 2", "lines: 3"))
    assert resume(tmp_path / "run")["stages"]["draw"]["results"] == {"left": not edited}


def test_what_a_component_reads_decides_reuse_and_not_resume(tmp_path, monkeypatch):
    from toy_plugin.parts import Circle

    drawn(tmp_path, "one")
    monkeypatch.setattr(Circle, "fingerprint", lambda self: "another file", raising=False)
    two = drawn(tmp_path, "two")["stages"]["draw"]
    assert "reused_from" not in two and two["reads"] == {"shape": "another file"}
    stamp = (tmp_path / "one" / "draw" / "picture.txt").stat().st_mtime_ns
    resume(tmp_path / "one")
    assert (tmp_path / "one" / "draw" / "picture.txt").stat().st_mtime_ns == stamp


def test_an_earlier_run_without_the_input_is_a_problem_before_anything_runs(tmp_path):
    drawn(tmp_path, "one")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    manifest["stages"] = {}
    (tmp_path / "one" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelwrightError, match=r"from: no finished stage of .*one made picture.txt, which stage 'paint' takes"):
        start(composed(["recipe=toy", "stages=[paint]", f"from={tmp_path / 'one'}"]), tmp_path / "two", [])


def test_relative_paths_are_frozen_as_absolute(tmp_path, monkeypatch):
    drawn(tmp_path, "one")
    monkeypatch.chdir(tmp_path)
    config = composed(["recipe=toy", "stages=[paint]", "from=one", "shape=square", "shape.side=1", "shape.where=x"])
    assert (config["from"], config["shape"]["where"]) == (str(tmp_path / "one"), str(tmp_path / "x"))


def test_a_job_that_failed_before_it_had_a_config_can_be_started_again(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "manifest.json").write_text('{"status": "failed", "error": "x", "overrides": [], "stages": {}}')
    assert drawn(tmp_path, "job")["status"] == "finished"


def test_the_source_of_a_plugin_of_one_file_counts(tmp_path, monkeypatch):
    from modelwright.assemble import Bound
    from modelwright.manifest import surroundings

    file = tmp_path / "lonely.py"
    text = "from toy_plugin.parts import Circle\nclass Oval(Circle): pass\n"
    file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import lonely

    bound = Bound("draw", lonely.Oval(), {}, {}, {})
    before = surroundings(bound)
    file.write_text(text + "# changed\n")
    assert surroundings(bound) != before


def test_plugins_are_told_of_a_runs_life(tmp_path, toy):
    told: list[tuple] = []
    watcher = types.ModuleType("watcher")
    watcher.on_run_start = hookimpl(lambda run, config: told.append(("start", run.name, config.pop("seed"))))
    watcher.on_error = hookimpl(lambda run, error: told.append(("error", run.name, str(error))))
    watcher.on_run_end = hookimpl(lambda run, error: told.append(("end", run.name, error and str(error))))
    toy.load("watcher", lambda: watcher)
    assert drawn(tmp_path, "good")["seed"] == 1234  # what a hook does to the config is its own affair
    with pytest.raises(RuntimeError, match="no ink"):
        drawn(tmp_path, "bad", "draw.fail=no ink")
    assert told == [
        ("start", "good", 1234), ("end", "good", None),
        ("start", "bad", 1234), ("error", "bad", "no ink"), ("end", "bad", "no ink"),
    ]  # fmt: skip


def test_a_run_may_be_pruned_before_it_begins_and_not_when_it_is_over(tmp_path, toy):
    @hookimpl
    def refuse(run):
        raise Pruned("no")

    early, late = types.ModuleType("early"), types.ModuleType("late")
    early.on_run_start, late.on_run_end = refuse, refuse
    toy.load("late", lambda: late)
    with pytest.warns(UserWarning, match="on_run_end of plugin 'late' failed: Pruned: no"):
        assert drawn(tmp_path, "good")["status"] == "finished"
    toy.load("early", lambda: early)
    with pytest.raises(Pruned), pytest.warns(UserWarning, match="on_run_end"):
        drawn(tmp_path, "bad")
    assert read_manifest(tmp_path / "bad")["status"] == "pruned"


def test_a_pruned_run_is_neither_finished_nor_failed(tmp_path, toy):
    told: list[str] = []
    pruner = types.ModuleType("pruner")
    pruner.on_error = hookimpl(lambda error: told.append(str(error)))

    @hookimpl
    def on_step_end(step, metrics):
        raise Pruned("enough")

    pruner.on_step_end = on_step_end
    toy.load("pruner", lambda: pruner)
    config = composed(["recipe=toy", "stages=[learn]", "learn.ranked=false"])
    with pytest.raises(Pruned, match="enough"):
        start(config, tmp_path / "run", [])
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["error"], manifest["stages"]["learn"]["status"], told) == ("pruned", "enough", "pruned", [])
