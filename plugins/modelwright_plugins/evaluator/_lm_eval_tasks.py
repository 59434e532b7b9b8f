"""The harness' tasks that an evaluator names."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError, nearest

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.lm_eval import LMEval


MOST = 256  # tokens of a reply, where a task does not say (lm_eval 0.4.13, models/huggingface.py)


def manager(evaluator: LMEval) -> Any:
    """The harness' TaskManager of the folders that the evaluator names."""
    os.environ.setdefault("LMEVAL_LOG_LEVEL", "WARNING")
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of each default that a task leaves as it is
    path = None if evaluator.include_path is None else evaluator.include_path.expanduser()
    return TaskManager(include_path=path, include_defaults=evaluator.own_tasks)


def unknown(evaluator: LMEval) -> list[str]:
    """A line for each task that there is not."""
    known = manager(evaluator).all_tasks
    return [
        f"tasks: there is no {name} in {evaluator.include_path or 'lm_eval'}{nearest(name, known)}" for name in _missing(evaluator, known)
    ]


def _missing(evaluator: LMEval, known: list[str]) -> list[str]:
    return [name for name in evaluator.tasks if name not in known]


def loaded(evaluator: LMEval) -> dict[str, Any]:
    """The tasks with their data, and the groups that they are in, as lm_eval's `evaluate` takes them. ModelwrightError: what is wrong."""
    if lines := unknown(evaluator):
        raise ModelwrightError("; ".join(lines))
    try:
        found: dict[str, Any] = manager(evaluator).load(list(evaluator.tasks))
    except Exception as e:  # the harness, datasets and the tasks' own code raise what they like
        raise ModelwrightError(f"tasks {', '.join(evaluator.tasks)}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}") from e
    if unsafe := [name for name, task in found["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]:
        raise ModelwrightError(f"tasks: {unsafe[0]} runs what a model wrote, with nothing around it; evaluator=[pass_at_k] has a sandbox")
    for task in found["tasks"].values():
        told = task.get_config("num_fewshot")
        if evaluator.shots is not None and told != 0:  # as simple_evaluate: a task that says 0 means it
            task.set_config(key="num_fewshot", value=evaluator.shots)
        elif told is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)
    return found


def written(tasks: dict[str, Any]) -> dict[str, int]:
    """Of each task that has replies drawn, how many tokens of one, at most."""
    from lm_eval.models.utils import normalize_gen_kwargs

    drawn = {name: task for name, task in tasks.items() if task.OUTPUT_TYPE == "generate_until"}
    return {name: normalize_gen_kwargs(task.get_config("generation_kwargs") or {}, MOST)["max_gen_toks"] for name, task in drawn.items()}


@contextmanager
def seeded() -> Iterator[None]:
    """Random numbers as the harness' `simple_evaluate` has them (lm_eval 0.4.13, defaults.py), the same on every rank; ours afterwards."""
    import numpy as np

    kept, theirs = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(1234)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(theirs)
