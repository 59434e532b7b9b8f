"""`hydra/sweeper=optuna`: an Optuna study whose trials are the jobs of a sweep. Trial 7 is job 7, in folder 7.

The study is kept in a database, so a sweep that was killed goes on: trials that were running go on in their own folders, then new
ones are asked for until there are `n_trials`.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError, nearest
from modelwright.run import read_manifest
from modelwright_plugins.sweep import record
from modelwright_plugins.sweep.job import answer

if TYPE_CHECKING:
    import optuna
    from hydra.core.override_parser.types import Override
    from hydra.plugins.launcher import Launcher
    from optuna.distributions import BaseDistribution

TRIAL = "MODELWRIGHT_TRIAL"  # tells the ranks of a job which trial they are: {"storage", "study", "number", …} as JSON
EXHAUSTED = "everything is tried"
SAMPLERS = ("tpe", "random", "nsga2", "gp", "cmaes", "qmc", "brute_force")
PRUNERS = ("median", "successive_halving", "hyperband")


def sweep(settings: Mapping[str, Any], arguments: Sequence[str], *, launcher: Launcher, folder: str) -> optuna.Study:
    """Run the study to its end; gives it."""
    try:
        import optuna
    except ImportError:
        raise ModelwrightError("hydra/sweeper=optuna needs Optuna: in Modelwright's folder: pip install -e '.[optuna]'") from None

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    metrics, directions = _objectives(settings)
    fixed, space = searched(settings, arguments)
    storage = settings["storage"] or f"sqlite:///{Path(folder).absolute() / 'optuna.db'}"
    name = settings["study_name"] or (str(Path(folder).absolute()) if settings["storage"] else "sweep")
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, directions=directions)
    if [direction.name.lower() for direction in study.directions] != directions:
        raise ModelwrightError(f"hydra.sweeper.direction: the study {name!r} has other ones; name another study, or another folder")
    study.sampler, study.pruner = sampler(settings, len(study.trials)), pruner(settings)
    # a sampler that has tried everything stops the study; Optuna lets it do so in its own loop only
    study.stop = lambda: study.set_user_attr(EXHAUSTED, True)  # type: ignore[method-assign]
    record.ranked(Path(folder), sweeper="optuna", metric=metrics, direction=directions)
    told = {"storage": storage, "study": study.study_name, **{k: settings[k] for k in settings if k.startswith(("prune", "startup"))}}
    told["prune_sign"] = 1 if settings["prune_direction"] == directions[0] else -1  # Optuna compares in the direction of the study
    running = [t for t in study.trials if not t.state.is_finished()]  # of a start that was killed
    for lost in (t for t in running if set(t.params) != set(space)):
        study.tell(lost.number, state=optuna.trial.TrialState.FAIL)
    batch = [optuna.trial.Trial(study, t._trial_id) for t in running if set(t.params) == set(space)]
    while True:
        free = 0 if study.user_attrs.get(EXHAUSTED) else min(settings["n_jobs"] - len(batch), settings["n_trials"] - len(study.trials))
        batch += [study.ask(fixed_distributions=space) for _ in range(free)]
        if not batch:
            return study
        now, batch = batch[: settings["n_jobs"]], batch[settings["n_jobs"] :]
        for group in _in_a_row(now):
            words = [[*fixed, *_picked(trial), _tell_ranks(told | {"number": trial.number})] for trial in group]
            try:
                ended = [job.return_value for job in launcher.launch(words, initial_job_idx=group[0].number)]
            except Exception as e:  # a job was killed with its process, and took its launcher's word for the others along
                warnings.warn(f"the launcher lost a job: {type(e).__name__}: {e}", stacklevel=2)
                ended = [_found(Path(folder) / str(trial.number)) for trial in group]
            for trial, job in zip(group, ended, strict=True):
                _conclude(study, trial, job, metrics)


def searched(settings: Mapping[str, Any], arguments: Sequence[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
    """The overrides that all jobs share, and the space that the others are drawn from: key -> distribution."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    params = [f"{key}={value}" for key, value in (settings["params"] or {}).items()]
    fixed: dict[str, str] = {}
    space: dict[str, BaseDistribution] = {}
    for override in OverridesParser.create().parse_overrides([*params, *arguments]):
        key = override.get_key_element()
        fixed.pop(key, None)
        space.pop(key, None)
        if override.is_sweep_override():
            space[key] = distribution(override)
        else:
            fixed[key] = str(override.input_line)
    if not space:
        raise ModelwrightError(
            "hydra/sweeper=optuna: nothing to search over; add a range, such as 'optimizer.lr=tag(log,interval(1e-4,1e-1))'"
        )
    return list(fixed.values()), space


def distribution(override: Override) -> BaseDistribution:
    """Hydra's sweep as Optuna's distribution: a,b,c and choice(): one of them; range(): steps; interval(): any number between, and
    int(interval()): any integer; tag(log,…): uniform in its logarithm."""
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    log = "log" in getattr(value, "tags", ())
    try:
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            assert low is not None and high is not None
            return FloatDistribution(low, high, log=log)
        if isinstance(value, RangeSweep):
            assert value.start is not None and value.stop is not None
            steps = max(math.ceil((value.stop - value.start) / value.step), 1)  # Hydra leaves `stop` out
            last = value.start + (steps - 1) * value.step
            if isinstance(value.start, int) and isinstance(last, int) and isinstance(value.step, int):
                return IntDistribution(value.start, last, log=log, step=value.step)
            return FloatDistribution(value.start, last, step=value.step)
        if isinstance(value, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as e:
        raise ModelwrightError(f"override {override.input_line}: {e}") from e
    raise ModelwrightError(f"override {override.input_line}: Optuna searches a,b,c, choice(…), range(…) and interval(…)")


def sampler(settings: Mapping[str, Any], trials: int) -> optuna.samplers.BaseSampler:
    """The sampler that the settings name, for a study that has so many `trials`: going on, it must not draw the first ones again."""
    import optuna

    seed, first = settings["seed"], settings["startup_trials"]
    seed = None if seed is None else seed + trials
    made = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=settings["n_jobs"] > 1),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=first),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=first),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False),
        "brute_force": lambda: optuna.samplers.BruteForceSampler(seed=seed),
    }
    return made[_one_of("sampler", settings["sampler"], SAMPLERS)]()


def pruner(settings: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    """The pruner that the settings name. Steps are training steps."""
    import optuna

    if settings["pruner"] is None:
        return optuna.pruners.NopPruner()
    first, after, every = settings["startup_trials"], settings["prune_after"], settings["prune_every"]
    made = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=first, n_warmup_steps=after),
        "successive_halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=max(after, every)),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=max(after, every)),
    }
    return made[_one_of("pruner", settings["pruner"], PRUNERS)]()


def _objectives(settings: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    metrics, directions = ([given] if isinstance(given, str) else list(given) for given in (settings["metric"], settings["direction"]))
    directions = directions * len(metrics) if len(directions) == 1 else directions
    for direction in directions:
        _one_of("direction", direction, ("minimize", "maximize"))
    _one_of("prune_direction", settings["prune_direction"], ("minimize", "maximize"))
    if not metrics or len(directions) != len(metrics):
        raise ModelwrightError(f"hydra.sweeper.direction: {len(metrics)} metrics need as many directions, or one for all; got {directions}")
    if settings["pruner"] is not None and len(metrics) > 1:
        raise ModelwrightError("hydra.sweeper.pruner: with several metrics nothing can be pruned; set it to null")
    for name in ("n_trials", "n_jobs", "prune_every"):
        if settings[name] < 1:
            raise ModelwrightError(f"hydra.sweeper.{name} is {settings[name]}; it is 1 or more")
    return metrics, directions


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ModelwrightError(f"hydra.sweeper.{name}: {value!r} won't do{nearest(value, known)}")
    return value


def _picked(trial: optuna.trial.Trial) -> list[str]:
    return [f"{key}={value}" for key, value in trial.params.items()]


def _tell_ranks(told: Mapping[str, Any]) -> str:
    """The override that puts what a job must know of its trial into its environment, which its ranks inherit."""
    quoted = json.dumps(told).replace("\\", "\\\\").replace("'", "\\'")
    return f"++hydra.job.env_set.{TRIAL}='{quoted}'"


def _in_a_row(trials: Sequence[optuna.trial.Trial]) -> Iterator[list[optuna.trial.Trial]]:
    """Groups of trials with consecutive numbers: a launcher numbers the jobs of one launch in a row."""
    group: list[optuna.trial.Trial] = []
    for trial in sorted(trials, key=lambda t: t.number):
        if group and trial.number != group[-1].number + 1:
            yield group
            group = []
        group.append(trial)
    if group:
        yield group


def _found(job: Path) -> dict[str, Any]:
    """What a job whose launcher lost it left: as `job` gives it."""
    try:
        return answer(read_manifest(job))
    except ModelwrightError as e:
        return answer({"status": "failed", "error": str(e), "stages": {}})


def _conclude(study: optuna.Study, trial: optuna.trial.Trial, ended: Mapping[str, Any], metrics: Sequence[str]) -> None:
    from optuna.trial import TrialState

    if ended["status"] == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
        return
    if ended["status"] != "finished":
        study.tell(trial, state=TrialState.FAIL)
        return
    for metric in metrics:
        if metric not in ended["results"]:
            raise ModelwrightError(f"hydra.sweeper.metric: the runs have no number {metric!r}{nearest(metric, ended['results'])}")
    values = [float(ended["results"][metric]) for metric in metrics]
    study.tell(trial, values) if all(map(math.isfinite, values)) else study.tell(trial, state=TrialState.FAIL)
