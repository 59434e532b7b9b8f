"""The run-time hook through which Optuna prunes: it reports a training number now and then, and asks whether to go on."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwright.errors import Pruned

if TYPE_CHECKING:
    import optuna


def report(trial: str, step: int, metrics: Mapping[str, float]) -> None:
    """Report step `step` to the study of `trial` (what MODELWRIGHT_TRIAL says). Raises Pruned when the study has seen enough."""
    told = json.loads(trial)
    if told["pruner"] is None or step % told["prune_every"]:
        return
    if told["prune_on"] not in metrics:
        raise ValueError(f"hydra.sweeper.prune_on: a training step has no number {told['prune_on']!r}; it has {', '.join(metrics)}")
    asked = _trial(trial)
    asked.report(told["prune_sign"] * float(metrics[told["prune_on"]]), step)
    if asked.should_prune():
        raise Pruned(f"{told['prune_on']} {metrics[told['prune_on']]:.4g} at step {step} is worse than that of other jobs there")


@functools.cache
def _trial(trial: str) -> optuna.trial.Trial:
    import warnings

    import optuna

    from modelwright_plugins.sweep.study import pruner

    warnings.filterwarnings("ignore", module="optuna")  # a resumed job reports some steps again
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    told: dict[str, Any] = json.loads(trial)
    study = optuna.load_study(storage=told["storage"], study_name=told["study"], pruner=pruner(told))
    return optuna.trial.Trial(study, study._storage.get_trial_id_from_study_id_trial_number(study._study_id, told["number"]))
