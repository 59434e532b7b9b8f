"""The same sweep on every launcher: jobs at the same time, shared work once, a failed job listed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from slurm import missing, slurm

pytestmark = pytest.mark.slow
WORDS = ("run", "recipe=toy", "-m", "run.dir=sweep", "draw.lines=3", "paint.workers=1,2,0")


def needs(package: str):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


def sweeps(home, *words: str, **env: str) -> str:
    """Run it; the jobs are there, what they share was made once, the third failed and says why. What was printed."""
    code, said, errors = home.modelwright(*WORDS, *words, **env)
    assert code == 1, errors
    assert home.jobs("sweep") == ["0", "1", "2"], errors
    jobs = [home.manifest(f"sweep/{n}") for n in range(3)]
    assert [job["status"] for job in jobs] == ["finished", "finished", "failed"], errors
    assert sorted("reused_from" in job["stages"]["draw"] for job in jobs[:2]) == [False, True]  # made by one, taken by the other
    assert jobs[0]["stages"]["draw"]["artifacts"] == jobs[1]["stages"]["draw"]["artifacts"]
    assert "2 failed: paint: paint.workers: at least 1" in said
    for n in range(3):
        assert f"job {n}: recipe=toy draw.lines=3" in (home.folder / "sweep" / "logs" / f"{n}.log").read_text()
        assert f"job {n} {jobs[n]['status']}" in said  # a line as each ends
    before = home.manifest("sweep/0")
    assert home.modelwright("resume", "sweep", **env)[0] == 1 and home.manifest("sweep/0") == before
    return said


@needs("hydra_plugins.hydra_joblib_launcher")
def test_joblib(home):
    sweeps(home, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@needs("hydra_plugins.hydra_joblib_launcher")
def test_joblib_curates(home):
    """The executor's own workers start in a worker of joblib's."""
    (home.folder / "books").mkdir()
    for i in range(8):
        (home.folder / "books" / f"{i}.txt").write_text(f"The {i} books of the house are read by those who live there.\n" * 40)
    words = ("stages=[curate]", "source=text", "source.paths=[books/*.txt]", "executor.workers=2", "executor.tasks=2")
    code, _, errors = home.modelwright("run", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *words, "seed=1,2", "run.dir=sweep")
    assert code == 0, errors + (home.folder / "sweep" / "logs" / "0.log").read_text()


@needs("hydra_plugins.hydra_submitit_launcher")
def test_submitit_on_this_machine(home):
    sweeps(home, "hydra/launcher=submitit_local")


@needs("hydra_plugins.hydra_ray_launcher")
def test_ray(home):
    sweeps(home, "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false")


@needs("hydra_plugins.hydra_joblib_launcher")
def test_optuna_with_jobs_at_the_same_time(home):
    pytest.importorskip("optuna")
    words = (
        "hydra/sweeper=optuna",
        "hydra/launcher=joblib",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.metric=learn.loss",
    )
    code, _, errors = home.modelwright("run", "recipe=toy", "stages=[learn]", "-m", *words, "learn.floor=interval(1,5)", "run.dir=s")
    assert code == 0, errors
    assert home.jobs("s") == ["0", "1", "2", "3"]


@needs("hydra_plugins.hydra_submitit_launcher")
@pytest.mark.skipif(bool(missing()), reason=f"a Slurm of one node needs {', '.join(missing())} (Debian: apt install slurm-wlm munge)")
def test_slurm(home, tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")) as env:
        sweeps(home, "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5", **env)
        # each job on two tasks: the second joins the first, as it would on a second node
        words = ("hydra/launcher=submitit_slurm", "hydra.launcher.tasks_per_node=2", "run.reuse=false", "draw.lines=1", "run.dir=joined")
        code, said, errors = home.modelwright("run", "recipe=toy", "-m", *words, "paint.workers=2,1", **env)
        assert [home.manifest(f"joined/{n}")["status"] for n in range(2)] == ["finished", "failed"], errors
        assert "1 failed: stage 'paint' needs 1 ranks, and 2 were started" in said
        painted = sorted((home.folder / "joined/0/paint/painted").iterdir())
        assert [file.name for file in painted] == ["0.txt", "1.txt"] and code == 1
        # and a run, not a sweep, started on every task by srun
        done = subprocess.run(
            ["srun", "-n2", sys.executable, "-m", "modelwright", "run", "recipe=toy", "run.reuse=false", "run.dir=alone"],
            cwd=home.folder, env=home.env | env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert home.manifest("alone")["stages"]["paint"]["results"] == {"ranks": 2} and done.stdout.count("[1/2] draw: done") == 1


@needs("hydra_plugins.hydra_joblib_launcher")
def test_a_launcher_that_is_not_there(home):
    code, _, errors = home.modelwright(*WORDS, "hydra/launcher=joblibb")
    assert code == 2 and errors == "modelwright: hydra/launcher=joblibb: there is no such launcher here; did you mean 'joblib'?\n"
