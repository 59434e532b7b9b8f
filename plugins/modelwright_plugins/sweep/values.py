"""Every value of a sweep is tried on its config before the first job runs: a typo must not cost the training before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.explain import composed
from modelwright_plugins.progress import progress
from modelwright_plugins.sweep.record import FLAGS, hydra_node

MANY = 20  # values that are tried without a bar


def check(words: Sequence[str]) -> None:
    """Compose the first job, and each other value beside the first ones of all other keys. ModelwrightError: one is wrong.

    What Optuna draws can't be tried beforehand, and what Hydra finds wrong with the words it says itself.
    """
    node = hydra_node(words)
    if node is None or "n_trials" in node.sweeper or (values := listed(words, node)) is None:
        return
    first = {key: lines[0] for key, lines in values.items()}
    others = [first | {key: line} for key, lines in values.items() for line in lines[1:]]
    if not others and FLAGS & set(words):
        raise ModelwrightError("-m: there is nothing to sweep; give a setting several values (seed=1,2), or leave out -m")
    bar = progress("checking", len(others) + 1, "value") if len(others) >= MANY else None
    for job in (first, *others):
        composed(list(job.values()))
        if bar is not None:
            bar.update(1)
    if bar is not None:
        bar.close()


def jobs_asked(words: Sequence[str]) -> int | None:
    """How many jobs a sweep with these words, and what its recipe sweeps, makes; None when that can't be said beforehand."""
    if (node := hydra_node(words)) is None:
        return None
    if "n_trials" in node.sweeper:
        return int(node.sweeper.n_trials)
    values = listed(words, node)
    return None if values is None else math.prod(map(len, values.values()))


def listed(words: Sequence[str], node: Any) -> dict[str, list[str]] | None:
    """Key -> the overrides that the jobs of a sweep take one of; None for a range without an end, or a pattern. `node` is Hydra's own."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    params = [f"{key}={value}" for key, value in (node.sweeper.params or {}).items()]
    values: dict[str, list[str]] = {}
    try:
        for override in OverridesParser.create().parse_overrides([*params, *(word for word in words if word[0] != "-")]):
            key, line = override.get_key_element(), str(override.input_line)
            if not key.lstrip("+~").startswith("hydra"):
                values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()] if override.is_sweep_override() else [line]
    except (HydraException, ValueError):
        return None
    return values
