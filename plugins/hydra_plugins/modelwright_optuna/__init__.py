"""Hydra's door to `hydra/sweeper=optuna` (Hydra takes sweepers from the package `hydra_plugins` only). Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class OptunaSweeperConf:
    """The settings, as `hydra.sweeper.NAME=VALUE`."""

    _target_: str = "hydra_plugins.modelwright_optuna.OptunaSweeper"
    metric: Any = "evaluate.bits_per_byte"  # what is sought, as stage.number of a run; a list: several, and a Pareto front
    direction: Any = "minimize"  # minimize or maximize; a list: of each metric
    n_trials: int = 20  # jobs in all, those of an earlier, stopped start of the sweep included
    n_jobs: int = 1  # jobs at a time, on a launcher that runs several
    sampler: str = "tpe"  # tpe, random, nsga2 (several metrics), gp, cmaes (needs `cmaes`), qmc or grid-like `brute_force`
    startup_trials: int = 10  # drawn at random before the sampler (tpe, gp) or the pruner learns from what it saw
    pruner: str | None = None  # median, successive_halving or hyperband: ends jobs that do worse than others did; null: none
    prune_on: str = "loss"  # the number of `metrics.jsonl` that the pruner looks at
    prune_direction: str = "minimize"  # which way that number is better
    prune_every: int = 10  # steps between its looks
    prune_after: int = 0  # steps before its first look
    storage: str | None = None  # an SQLAlchemy URL; null: sqlite, `optuna.db` in the folder of the sweep
    study_name: str | None = None  # in a storage of your own; null: the folder of the sweep
    seed: int | None = 1234  # of the sampler; null: another each time
    params: dict[str, str] | None = None  # what to sweep over, beside the command line: key -> interval(a,b), range(a,b), choice(a,b) …


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="modelwright")


class OptunaSweeper(Sweeper):
    """Optuna chooses what the next jobs of a sweep try (Akiba et al. 2019, arXiv:1907.10902)."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: Sequence[str]) -> Any:
        from modelwright_plugins.sweep.study import sweep

        assert self.config is not None and self.launcher is not None
        return sweep(self.settings, list(arguments), launcher=self.launcher, folder=str(self.config.hydra.sweep.dir))
