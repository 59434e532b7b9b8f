"""The lm-evaluation-harness' numbers of our models, as scores. Written for lm_eval 0.4.13."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lm_eval.api.metrics import mean as mean_of_all
from lm_eval.evaluator import evaluate
from lm_eval.utils import handle_non_serializable

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._lm_eval_model import Harnessed, Spoken
from modelwright_plugins.evaluator._lm_eval_tasks import loaded, seeded
from modelwright_plugins.evaluator.interval import DRAWS, mean, share

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.lm_eval import LMEval
    from modelwright_plugins.evaluator.model import Model

SLOW = ("bleu", "chrf", "chrf++", "ter")  # of which the harness, too, draws 100 samples


def judged(evaluator: LMEval, model: Model, out: Path) -> list[Score]:
    """The harness' numbers of this model. Every rank calls it."""
    with seeded():
        tasks = loaded(evaluator)
        chat = evaluator.chat_template
        asked = Spoken(model) if chat else Harnessed(model, begin=evaluator.begin)
        how: Any = {"limit": evaluator.limit, "bootstrap_iters": 0, "log_samples": True}
        try:
            found: Any = evaluate(lm=asked, task_dict=tasks, apply_chat_template=chat, fewshot_as_multiturn=chat, **how)
        except (ModelwrightError, OSError, MemoryError):
            raise
        except Exception as e:  # templates, metrics and the tasks' own code raise what they like
            raise ModelwrightError(f"tasks {', '.join(evaluator.tasks)}: {type(e).__name__}: {e}") from e
    if model.first:
        with (out / "samples.jsonl").open("w", encoding="utf-8") as file:
            for name, samples in found["samples"].items():
                for sample in samples:
                    file.write(json.dumps({"task": name, **sample}, ensure_ascii=False, default=handle_non_serializable) + "\n")
    scores = [score for name, task in tasks["tasks"].items() for score in _of_task(found, name, task)]
    return scores + [score for name, group in tasks["groups"].items() for score in _of_group(found, name, group)]


def _of_task(found: Any, name: str, task: Any) -> list[Score]:
    scores = []
    for metric, filtered, value in _numbers(found["results"][name]):
        items = [sample[metric] for sample in found["samples"][name] if sample["filter"] == filtered and metric in sample]
        score = _interval(_named(name, metric, filtered), metric, items, task.aggregation().get(metric, mean_of_all))
        scores.append(_valued(score, value, found["higher_is_better"][name].get(metric)))
    return scores


def _of_group(found: Any, name: str, group: Any) -> list[Score]:
    """The mean over the group's tasks, of documents or of tasks as the group says; its samples are drawn from all documents."""
    scores, about = [], {each.metric: each for each in group.aggregate_metric_list or ()}
    for metric, filtered, value in _numbers(found.get("groups", {}).get(name, {})):
        members = [task.task_name for task in group.get_all_tasks()]
        by_task = [[s[metric] for s in found["samples"][member] if s["filter"] == filtered and metric in s] for member in members]
        by_task = [items for items in by_task if items]
        if metric not in about or not all(isinstance(item, int | float) for items in by_task for item in items):
            continue
        sizes = np.array([len(items) for items in by_task])
        weights = sizes / sizes.sum() if about[metric].weight_by_size else np.full(len(sizes), 1 / len(sizes))
        rng = np.random.default_rng(int(sizes.sum()))
        drawn = [_drawn_mean(by_task, weights, rng) for _ in range(DRAWS)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        score = Score(_named(name, metric, filtered), value, min(float(low), value), max(float(high), value), int(sizes.sum()))
        scores.append(_valued(score, value, found["higher_is_better"].get(name, {}).get(metric)))
    return scores


def _drawn_mean(by_task: Sequence[Sequence[float]], weights: Any, rng: np.random.Generator) -> float:
    means = [np.asarray(items, np.float64)[rng.integers(0, len(items), len(items))].mean() for items in by_task]
    return float(np.dot(weights, means))


def _numbers(told: Any) -> list[tuple[str, str, float]]:
    """(metric, filter, value) of what the harness tells of a task or group, where the value is a number."""
    found = []
    for key, value in told.items():
        metric, comma, filtered = key.partition(",")
        if comma and not metric.endswith("_stderr") and isinstance(value, int | float | np.number) and math.isfinite(value):
            found.append((metric, filtered, float(value)))
    return found


def _interval(name: str, metric: str, items: Sequence[Any], combine: Any) -> Score:
    """Wilson's of shares; of other means, and of whatever else a metric combines, the percentiles of samples of documents."""
    if combine is mean_of_all and all(isinstance(item, int | float | np.number) for item in items):
        values = [float(item) for item in items]
        return share(name, values) if all(0 <= value <= 1 for value in values) else mean(name, values)
    rng, drawn = np.random.default_rng(len(items)), []
    for _ in range(100 if metric in SLOW else DRAWS):
        value = float(combine([items[place] for place in rng.integers(0, len(items), len(items))]))
        if math.isfinite(value):
            drawn.append(value)
    value = float(combine(list(items)))
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (value, value)
    return Score(name, value, min(float(low), value), max(float(high), value), len(items))


def _valued(score: Score, value: float, higher: bool | None) -> Score:
    """With the harness' own value, to its last digit."""
    low, high = min(score.low, value), max(score.high, value)
    return replace(score, value=value, low=low, high=high, better="lower" if higher is False else "higher")


def _named(task: str, metric: str, filtered: str) -> str:
    words = [task, metric] if filtered == "none" else [task, metric, filtered]
    return "/".join(re.sub(r"[^\w.-]+", "_", word) for word in words)
