"""Optuna leads a sweep: what it is asked, what it is told, pruning, several metrics, and going on after a kill."""

from __future__ import annotations

import json
import statistics

import pytest

optuna = pytest.importorskip("optuna")

from hydra.core.override_parser.overrides_parser import OverridesParser  # noqa: E402
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from modelwright.errors import ModelwrightError, Pruned  # noqa: E402
from modelwright_plugins.sweep import pruning, study  # noqa: E402

LEARN = ("recipe=toy", "stages=[learn]", "-m", "hydra/sweeper=optuna", "hydra.sweeper.metric=learn.loss")


def load(home, sweep: str):
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{home.folder / sweep / 'optuna.db'}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("x=1,2,4", CategoricalDistribution(["1", "2", "4"])),
        ("x=choice(adamw,muon)", CategoricalDistribution(["adamw", "muon"])),
        ("x=range(1,10)", IntDistribution(1, 9)),
        ("x=range(1,10,4)", IntDistribution(1, 9, step=4)),
        ("x=range(1,9,4)", IntDistribution(1, 5, step=4)),
        ("x=tag(log,range(1,65))", IntDistribution(1, 64, log=True)),
        ("x=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("x=interval(1,10)", FloatDistribution(1, 10)),
        ("x=int(interval(1,10))", IntDistribution(1, 10)),
        ("x=tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
    ],
)
def test_hydras_sweeps_as_distributions(written, meant):
    (override,) = OverridesParser.create().parse_overrides([written])
    assert study.distribution(override) == meant


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("sampler", "tpee", "hydra.sweeper.sampler: 'tpee' won't do; did you mean 'tpe'?"),
        ("pruner", "medium", "hydra.sweeper.pruner: 'medium' won't do; did you mean 'median'?"),
        ("direction", "minimise", "hydra.sweeper.direction: 'minimise' won't do; did you mean 'minimize'?"),
        ("direction", "[minimize,maximize]", "1 metrics need as many directions"),
        ("n_trials", "0", "hydra.sweeper.n_trials is 0; it is 1 or more"),
        ("n_trails", "3", "hydra.sweeper.n_trails: there is no such setting; did you mean 'n_trials'?"),
    ],
)
def test_a_wrong_setting_is_one_line(home, setting, value, line):
    code, _, errors = home.modelwright("run", *LEARN, "learn.floor=interval(1,2)", f"hydra.sweeper.{setting}={value}", "run.dir=s")
    assert code == 2 and line in errors and len(errors.splitlines()) == 1
    assert not (home.folder / "s").exists()


@pytest.mark.slow
def test_a_sweep_finds_the_best_and_prunes_the_worst(home):
    words = ("learn.floor=interval(1,5)", "hydra.sweeper.pruner=median", "hydra.sweeper.startup_trials=2", "hydra.sweeper.prune_every=5")
    code, said, errors = home.modelwright("run", *LEARN, *words, "hydra.sweeper.n_trials=6", "run.dir=s")
    assert code == 0, errors
    trials = load(home, "s").trials
    assert [t.number for t in trials] == list(range(6)) and home.jobs("s") == [str(n) for n in range(6)]
    for trial in trials:
        manifest, floor = home.manifest(f"s/{trial.number}"), trial.params["learn.floor"]
        if (
            trial.state == TrialState.PRUNED
        ):  # the loss at step n is floor + 1/n: pruned at its last report, above the median of what the others had there
            step = trial.last_step
            others = [t.intermediate_values[step] for t in trials[: trial.number] if step in t.intermediate_values]
            assert manifest["status"] == "pruned" and trial.intermediate_values[step] > sorted(others)[len(others) // 2]
            assert trial.intermediate_values[step] == pytest.approx(floor + 1 / step)
            assert f"at step {step} is worse" in manifest["error"]
        else:
            assert manifest["status"] == "finished" and trial.value == pytest.approx(floor + 1 / 20)
            assert sorted(trial.intermediate_values) == [5, 10, 15, 20]
    assert {t.state for t in trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    best = min((t for t in trials if t.value is not None), key=lambda t: t.value)
    table = said[said.index("\nrun ") :].splitlines()
    assert table[2].split()[0] == str(best.number)  # best first
    assert json.loads((home.folder / "s" / "sweep.json").read_text())["metric"] == ["learn.loss"]


@pytest.mark.slow
def test_a_killed_study_goes_on_with_its_trials(home):
    words = ("learn.floor=interval(1,5)", "learn.wait=0.03", "hydra.sweeper.n_trials=4", "run.dir=s")
    home.kill_when("s/2/learn", "run", *LEARN, *words)
    asked = {t.number: t.params for t in load(home, "s").trials}
    before = [home.manifest(f"s/{n}") for n in range(2)]
    code, _, errors = home.modelwright("resume", "s")
    assert code == 0, errors
    trials = load(home, "s").trials
    assert home.jobs("s") == ["0", "1", "2", "3"] and [t.state for t in trials] == [TrialState.COMPLETE] * 4
    assert {n: trials[n].params for n in asked} == asked  # trial 2 was running when it was killed, and is the same trial still
    assert [home.manifest(f"s/{n}") for n in range(2)] == before
    assert len({t.params["learn.floor"] for t in trials}) == 4  # the sampler does not draw the same again
    assert home.modelwright("resume", "s")[0] == 0 and len(load(home, "s").trials) == 4  # nothing is left to do
    more = [word.replace("n_trials=4", "n_trials=5") for word in words]
    assert home.modelwright("run", *LEARN, *more)[0] == 0 and home.jobs("s") == ["0", "1", "2", "3", "4"]


@pytest.mark.slow
def test_several_metrics_and_failures(home):
    both = ("hydra.sweeper.metric=[learn.loss,learn.floor]", "hydra.sweeper.direction=[minimize,maximize]")
    words = ("learn.floor=1,2", "learn.steps=0,4", "hydra.sweeper.sampler=brute_force", "hydra.sweeper.n_trials=4", "run.dir=s")
    code, _, errors = home.modelwright("run", *LEARN[:-1], *both, *words)
    found = load(home, "s")
    failed = [t for t in found.trials if t.state == TrialState.FAIL]
    assert code == 1 and [t.params["learn.steps"] for t in failed] == ["0", "0"], errors  # no step, no loss
    assert sorted(t.values for t in found.best_trials) == [[1.25, 1.0], [2.25, 2.0]]
    code, _, errors = home.modelwright("run", *LEARN[:-1], *both, "learn.floor=1,2", "hydra.sweeper.pruner=median", "run.dir=p")
    assert code == 2 and "with several metrics nothing can be pruned" in errors


@pytest.mark.slow
def test_a_metric_that_no_run_has_stops_the_sweep_and_may_be_mended(home):
    words = (
        "recipe=toy",
        "stages=[learn]",
        "-m",
        "hydra/sweeper=optuna",
        "learn.floor=interval(1,2)",
        "hydra.sweeper.n_trials=2",
        "run.dir=s",
    )
    code, _, errors = home.modelwright("run", *words, "hydra.sweeper.metric=learn.lost")
    assert code == 2 and "hydra.sweeper.metric: the runs have no number 'learn.lost'; did you mean 'learn.loss'?" in errors
    before = home.manifest("s/0")
    assert home.modelwright("run", *words, "hydra.sweeper.metric=learn.loss")[0] == 0
    assert home.manifest("s/0") == before and [t.state for t in load(home, "s").trials] == [TrialState.COMPLETE] * 2


def test_a_rank_tells_its_trial(tmp_path):
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    made = optuna.create_study(storage=storage, study_name="sweep")
    for value in (1.0, 2.0):
        trial = made.ask()
        trial.report(value, 10)
        made.tell(trial, value)
    asked = made.ask()
    settings = {"pruner": "median", "startup_trials": 1, "prune_on": "loss", "prune_every": 10, "prune_after": 0, "prune_sign": 1}
    told = json.dumps({"storage": storage, "study": "sweep", "number": asked.number, **settings})
    pruning.report(told, 9, {"loss": 99.0})  # not a step at which it looks
    with pytest.raises(Pruned, match="loss 3 at step 10 is worse"):
        pruning.report(told, 10, {"loss": 3.0})
    with pytest.raises(ValueError, match="no number 'loss'; it has lr"):
        pruning.report(told, 20, {"lr": 3.0})


@pytest.mark.slow
def test_a_loss_prunes_when_the_metric_is_to_be_large(home):
    """`learn.floor` is sought large, and the loss, of which the pruner has its orders, is still better small."""
    sought = ("hydra.sweeper.metric=learn.floor", "hydra.sweeper.direction=maximize", "hydra.sweeper.sampler=brute_force")
    pruner = ("hydra.sweeper.pruner=median", "hydra.sweeper.startup_trials=1", "hydra.sweeper.prune_every=5")
    words = (*sought, *pruner, "hydra.sweeper.n_trials=9", "run.dir=s")  # 9 are asked for; there are 3 to try
    assert home.modelwright("run", *LEARN[:-1], *words, "learn.floor=1,2,3")[0] == 0
    assert home.modelwright("resume", "s")[0] == 0  # nor is anything tried twice when it goes on
    trials = sorted(load(home, "s").trials, key=lambda t: t.number)
    assert len(trials) == 3
    for i, trial in enumerate(trials[1:], 1):  # worse than the median of those that finished before it, by the loss
        floors = [float(t.params["learn.floor"]) for t in trials[:i] if t.state == TrialState.COMPLETE]
        assert (trial.state == TrialState.PRUNED) == (float(trial.params["learn.floor"]) > statistics.median(floors))


def test_nothing_to_search_over(home):
    code, _, errors = home.modelwright("run", *LEARN, "run.dir=s")
    assert code == 2 and "nothing to search over" in errors
    with pytest.raises(ModelwrightError, match="such as"):
        study.searched({"params": None}, ["a=1"])
