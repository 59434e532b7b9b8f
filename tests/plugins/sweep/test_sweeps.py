"""A sweep: a job a value, failures listed, going on after a kill, shared work done once."""

from __future__ import annotations

import json
import os
import signal

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.sweep import record, values

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
    words = ("run", *LEARN, "-m", "learn.steps=4,0", "run.dir=sweep")
    code, said, _ = home.modelwright(*words)
    assert (
        code == 1 and "1 failed: rank 0 of stage 'learn' failed first: UnboundLocalError" in said
    )  # it fails as a whole, after all its jobs
    before = home.manifest("sweep/0")
    assert home.modelwright(*words)[0] == 1 and home.manifest("sweep/0") == before
    code, _, errors = home.modelwright("run", *LEARN, "-m", "learn.steps=4,1", "run.dir=sweep")
    assert code == 2 and errors == (
        "modelwright: run.dir: sweep holds another sweep (recipe=toy stages=[learn] learn.steps=4,0); name another folder\n"
    )


def test_a_sweep_that_never_began_leaves_nothing(home):
    code, _, errors = home.modelwright("run", *LEARN, "-m", "learn.flour=1,2", "run.dir=sweep")
    assert code == 2 and errors == "modelwright: override learn.flour=1: there is no 'learn.flour'; did you mean 'learn.floor'?\n"
    assert not (home.folder / "sweep").exists()


@pytest.mark.slow
def test_ranges_and_choices(home):
    code, _, errors = home.modelwright("run", *LEARN, "-m", "learn.floor=range(1,3)", "learn.steps=choice(2,4)", "run.dir=s")
    assert code == 0 and home.jobs("s") == ["0", "1", "2", "3"], errors
    assert [home.manifest(f"s/{n}")["stages"]["learn"]["results"]["loss"] for n in range(4)] == [1.5, 1.25, 2.5, 2.25]


def test_a_recipe_may_sweep_by_itself(home):
    (home.folder / "mine.yaml").write_text("stages: [learn]\nhydra: {mode: MULTIRUN, sweeper: {params: {learn.floor: '1,2'}}}\n")
    code, _, errors = home.modelwright("run", "recipe=./mine.yaml", "run.dir=s")
    assert code == 0, errors
    assert home.jobs("s") == ["0", "1"]
    assert home.modelwright("run", "recipe=./mine.yaml", "run.dir=once", "hydra.mode=RUN")[0] == 0
    assert home.manifest("once")["status"] == "finished"


def test_a_recipe_built_on_one_that_sweeps_does_too(home):
    (home.folder / "mult.yaml").write_text("stages: [learn]\nhydra: {mode: MULTIRUN, sweeper: {params: {learn.floor: '1,2'}}}\n")
    (home.folder / "child.yaml").write_text("defaults: [./mult]\nlearn: {steps: 2}\n")
    code, _, errors = home.modelwright("run", "recipe=./child.yaml", "run.dir=s")
    assert code == 0 and home.jobs("s") == ["0", "1"], errors


@pytest.mark.slow
def test_what_changed_under_a_sweep_is_told_and_nothing_is_taken_for_it(home):
    """The recipe is edited between two starts: what is there was made by the old one."""
    (home.folder / "mine.yaml").write_text("stages: [learn]\nlearn: {steps: 2}\n")
    assert home.modelwright("run", "recipe=./mine.yaml", "-m", "learn.floor=1,2", "run.dir=s")[0] == 0
    before = home.manifest("s/0")
    (home.folder / "mine.yaml").write_text("stages: [learn]\nlearn: {steps: 3}\n")
    code, _, errors = home.modelwright("resume", "s")
    assert code == 1 and errors.count("holds a run with other settings") == 2, errors
    assert home.manifest("s/0") == before


@pytest.mark.slow
def test_one_process_a_sweep(home):
    first = home.start("run", *LEARN, "learn.wait=1", "learn.steps=8", "-m", "learn.floor=1,2", "run.dir=s")
    while not (home.folder / "s" / "0").exists():
        assert first.poll() is None
    code, _, errors = home.modelwright("resume", "s")
    assert code == 2 and errors == f"modelwright: another process is working in {home.folder / 's'}\n"
    os.killpg(first.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_part_that_leaves_the_process_ends_its_own_job(home):
    (home.folder / "leaver.py").write_text(
        "from modelwright.hooks import hookimpl\n@hookimpl\ndef modelwright_register(registry):\n"
        "    registry.add('stage', 'leave', 'leaver:Leave')\n"
        "from dataclasses import dataclass\nfrom modelwright.component import Stage\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Leave(Stage):\n    code: int = 0\n"
        "    def run(self, job):\n        raise SystemExit(self.code) if self.code else None\n".replace(
            "else None", "else ValueError('no')"
        )
    )
    (home.folder / "leaver-1.dist-info").mkdir()
    (home.folder / "leaver-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: leaver\nVersion: 1\n")
    (home.folder / "leaver-1.dist-info" / "entry_points.txt").write_text("[modelwright]\nleaver = leaver\n")
    env = {"PYTHONPATH": f"{home.folder}:{home.env['PYTHONPATH']}", "MODELWRIGHT_PLUGINS": "toy,leaver"}
    code, said, errors = home.modelwright("run", "stages=[leave]", "-m", "leave.code=3,0", "run.dir=s", **env)
    assert code == 1 and [home.manifest(f"s/{n}")["status"] for n in range(2)] == ["failed", "failed"], errors
    assert "job 1:" in said


HOSTILE = [
    "+hydra.callbacks.x={_target_:io.open,file:CANARY,mode:w}",
    "hydra.sweeper.metric={_target_:io.open,file:CANARY,mode:w}",
    "hydra.sweeper.direction=[{_target_:io.open,file:CANARY,mode:w}]",
    "hydra.searchpath=[file:///tmp]",
    "++hydra.job.env_set.LD_PRELOAD=x.so",
    "hydra.launcher.setup=[touch CANARY]",
    "hydra.launcher.python=/tmp/x",
    "+hydra.sweeper.params.x={_target_:io.open}",
    "hydra.sweeper._target_=os.system",
    "hydra/launcher=../../x",
    "+x@hydra.callbacks=y",
    "--config-dir=/tmp",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_strangers_sweep_says_nothing_to_hydra(tmp_path, word):
    (tmp_path / "sweep.json").write_text(json.dumps({"words": ["recipe=toy", word], "cwd": "/tmp"}))
    with pytest.raises(ModelwrightError, match="type the command of the sweep again"):
        record.words_again(tmp_path)


def test_and_ones_own_goes_on(tmp_path):
    words = ["recipe=toy", "stages=[learn]", "learn.floor=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra/sweeper=optuna",
             "hydra.sweeper.metric=[a.b,c.d]", "hydra.sweeper.n_trials=4", "+hydra.launcher.ray.init.num_cpus=2",
             "hydra.sweeper.pruner=median", "hydra.sweeper.seed=null"]  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps({"words": words}))
    assert record.words_again(tmp_path) == words


@pytest.mark.slow
def test_a_hostile_sweep_is_not_resumed(home):
    (home.folder / "s").mkdir()
    words = ["recipe=toy", "seed=1,2", HOSTILE[0].replace("CANARY", str(home.folder / "canary"))]
    (home.folder / "s" / "sweep.json").write_text(json.dumps({"words": words}))
    code, _, errors = home.modelwright("resume", "s")
    assert code == 2 and errors.count("\n") == 1 and not (home.folder / "canary").exists(), errors


def test_words_that_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("stages: []")
    (tmp_path / "damaged.yaml").write_text("a: [")
    (tmp_path / "odd.yaml").write_text("hydra: 3")
    assert record.is_sweep(["-m"]) and record.is_sweep(["hydra.mode=MULTIRUN"])
    assert not any(record.is_sweep([f"recipe=./{name}.yaml"]) for name in ("one", "damaged", "odd", "none"))


def test_how_many_jobs_a_sweep_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("hydra: {mode: MULTIRUN, sweeper: {params: {a: 7, d: 'x,y'}}}")
    assert values.jobs_asked(["recipe=./mine.yaml", "a=1,2", "b=range(0,3)", "c=4"]) == 12
    assert values.jobs_asked(["a=glob(*)"]) is None and values.jobs_asked(["recipe=none"]) is None
    assert values.jobs_asked(["hydra/sweeper=optuna", "a=1,2"]) == 20  # its default
    assert values.jobs_asked(["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "a=1,2"]) == 3


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
