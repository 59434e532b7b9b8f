"""A sweep: a job a value, failures listed, going on after a kill, shared work done once."""

from __future__ import annotations

import os
import signal

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.sweep import record, watch

LEARN = ("recipe=toy", "stages=[learn]")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_stopped(home):
    home.kill_when("sweep/1/learn", "run", *LEARN, "learn.wait=0.05", "-m", "learn.floor=1,2,3", "run.dir=sweep")
    assert home.jobs("sweep") == ["0", "1"] and home.manifest("sweep/0")["status"] == "finished"
    before = home.manifest("sweep/0")
    code, said, errors = home.modelwright("resume", "sweep")
    assert code == 0, errors
    assert home.manifest("sweep/0") == before  # not run again, nor written again
    assert [home.manifest(f"sweep/{n}")["stages"]["learn"]["results"]["floor"] for n in range(3)] == [1, 2, 3]
    assert "job 0" in said and "finished already" in said


@pytest.mark.slow
def test_the_same_words_go_on_and_other_words_are_refused(home):
    words = ("run", *LEARN, "-m", "learn.floor=1,x", "run.dir=sweep")
    code, said, _ = home.modelwright(*words)
    assert code == 1 and "learn.floor: 'x' won't do; expected float" in said  # it fails as a whole, after all its jobs
    before = home.manifest("sweep/0")
    assert home.modelwright(*words)[0] == 1 and home.manifest("sweep/0") == before
    code, _, errors = home.modelwright("run", *LEARN, "-m", "learn.floor=1,4", "run.dir=sweep")
    assert code == 2 and errors == (
        "modelwright: run.dir: sweep holds another sweep (recipe=toy stages=[learn] learn.floor=1,x); name another folder\n"
    )


def test_a_sweep_that_never_began_leaves_nothing(home):
    code, _, errors = home.modelwright("run", *LEARN, "-m", "learn.flour=1,2", "run.dir=sweep")
    assert code == 2 and errors == "modelwright: override learn.flour=1,2: there is no 'learn.flour'; did you mean 'learn.floor'?\n"
    assert not (home.folder / "sweep").exists()


@pytest.mark.slow
def test_ranges_and_choices(home):
    code, _, errors = home.modelwright(
        "run", *LEARN, "-m", "learn.floor=range(1,3)", "shape=choice(circle,square)", "+shape.side=1", "run.dir=s"
    )
    assert home.jobs("s") == ["0", "1", "2", "3"], errors
    floors = [home.manifest(f"s/{n}")["stages"].get("learn", {}).get("results", {}).get("floor") for n in range(4)]
    assert floors == [None, 1, None, 2], "a circle has no side"
    assert code == 1


def test_a_recipe_may_sweep_by_itself(home):
    (home.folder / "mine.yaml").write_text("stages: [learn]\nhydra: {mode: MULTIRUN, sweeper: {params: {learn.floor: '1,2'}}}\n")
    code, _, errors = home.modelwright("run", "recipe=./mine.yaml", "run.dir=s")
    assert code == 0, errors
    assert home.jobs("s") == ["0", "1"]
    assert home.modelwright("run", "recipe=./mine.yaml", "run.dir=once", "hydra.mode=RUN")[0] == 0
    assert home.manifest("once")["status"] == "finished"


def test_words_that_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("stages: []")
    (tmp_path / "damaged.yaml").write_text("a: [")
    (tmp_path / "odd.yaml").write_text("hydra: 3")
    assert record.is_sweep(["-m"]) and record.is_sweep(["hydra.mode=MULTIRUN"])
    assert not any(record.is_sweep([f"recipe=./{name}.yaml"]) for name in ("one", "damaged", "odd", "none"))
    assert watch.jobs_asked(["a=1,2", "b=range(0,3)", "c=4"], ["a=7", "d=x,y"]) == 12
    assert watch.jobs_asked(["a=glob(*)"], []) is None


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ModelwrightError, match=r"sweep.json can't be read"):
        record.read(tmp_path)
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(ModelwrightError, match="damaged"):
        record.read(tmp_path)


@pytest.mark.slow
def test_runs_that_need_the_same_at_the_same_time_make_it_once(home):
    """Two processes; the second needs what the first is making, waits for it, and takes it."""
    first = home.start("run", *LEARN, "learn.wait=0.1", "run.dir=a")
    while not (home.folder / "a" / "learn").exists():
        assert first.poll() is None
    code, said, errors = home.modelwright("run", *LEARN, "learn.wait=0.1", "run.dir=b")
    assert code == 0, errors
    assert "another run is making the same; waiting for it" in said and "taken from there" in said
    assert first.wait() == 0
    assert home.manifest("b")["stages"]["learn"]["reused_from"] == str(home.folder / "a" / "learn")


@pytest.mark.slow
def test_when_the_maker_dies_the_one_that_waits_makes_it(home):
    first = home.start("run", *LEARN, "learn.wait=1", "learn.steps=8", "run.dir=a")
    while not (home.folder / "a" / "learn").exists():
        assert first.poll() is None
    second = home.start("run", *LEARN, "learn.wait=1", "learn.steps=8", "run.dir=b")
    while "waiting for it" not in (line := second.stdout.readline()):
        assert line, second.stderr.read()
    os.killpg(first.pid, signal.SIGKILL)
    assert second.wait() == 0
    assert "reused_from" not in home.manifest("b")["stages"]["learn"] and home.manifest("b")["status"] == "finished"
