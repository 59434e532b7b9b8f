"""Our models as the lm-evaluation-harness asks them, and its numbers as scores. Written for lm_eval 0.4.13."""

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
from lm_eval.api.model import TemplateLM
from lm_eval.evaluator import evaluate
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, handle_non_serializable, make_disjoint_window

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._lm_eval_tasks import loaded, seeded
from modelwright_plugins.evaluator.interval import DRAWS, mean, share
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.tokenizer.turn_end import ReplyEnd

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.lm_eval import LMEval
    from modelwright_plugins.evaluator.model import Model

DRAWN = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"}
"""Of what a task says of generation, what our sampling calls so."""
GREEDY = ("repetition_penalty",)  # what counts where nothing is drawn, too
TOP_K = 50  # what transformers takes (5.x: GenerationConfig's defaults in `generate`) where a task that draws says nothing
SLOW = ("bleu", "chrf", "chrf++", "ter")  # of which the harness, too, draws 100 samples


class Harnessed(TemplateLM):
    """A model of ours. Every rank asks it the same and gets the same, so that to the harness each is the only one."""

    def __init__(self, model: Model, *, begin: bool) -> None:
        super().__init__()
        self.model, self.begin = model, begin
        self.max_length = model.length

    @property
    def eot_token_id(self) -> int:
        return self.model.end

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        tokens = self.model.encoder.encode(string)
        return [self.model.end, *tokens] if self.begin and add_special_tokens is not False else tokens

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy search would say it) of each continuation; a context that is too long loses its beginning."""
        rows, sizes = [], []
        for _, context, continuation in requests:
            if not 0 < len(continuation) <= self.max_length:
                raise ModelwrightError(f"a continuation of {len(continuation)} tokens; a model of {self.max_length} scores 1 to so many")
            rows.append([*context, *continuation][-(self.max_length + 1) :])
            sizes.append(len(continuation))
        told = zip(self.model.scores(rows), sizes, strict=True)
        return [(-float(nats[-own:].sum()), bool(hits[-own:].all())) for (nats, hits), own in told]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
        """Of whole texts, each token once, in windows as the harness' own models have them."""
        windows, counts = [], []
        for (text,) in (request.args for request in requests):
            tokens = self.model.encoder.encode(text)
            every = get_rolling_token_windows(tokens, prefix_token=self.prefix_token_id, max_seq_len=self.max_length, context_len=1)
            mine = [make_disjoint_window(pair) for pair in every]
            windows += [(None, context, predicted) for context, predicted in mine]
            counts.append(len(mine))
        told = iter(self._loglikelihood_tokens(windows))
        return [math.fsum(next(told)[0] for _ in range(count)) for count in counts]

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
        """What follows each context, up to the first of its stop texts or the end of a document; requests of one kind together."""
        found: list[str] = [""] * len(requests)
        kinds: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            kinds.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(place)
        for places in kinds.values():
            said = self._generated([requests[place].args[0] for place in places], dict(requests[places[0]].args[1]))
            for place, text in zip(places, said, strict=True):
                found[place] = text
        return found

    def _generated(self, contexts: Sequence[str], told: dict[str, Any]) -> list[str]:
        told = dict(normalize_gen_kwargs(told, 256))
        until = handle_stop_sequences(told.pop("until", None), eos=None)
        most, sampled = told.pop("max_gen_toks"), told.pop("do_sample")
        if most >= self.max_length:
            raise ModelwrightError(f"a task asks for {most} tokens, and the model sees {self.max_length}; max_gen_toks is smaller")
        if unknown := [name for name in told if name not in DRAWN]:
            raise ModelwrightError(f"a task's generation_kwargs.{unknown[0]}: known are until, max_gen_toks, do_sample, {', '.join(DRAWN)}")
        how = _drawing(told, sampled)
        generator = Sampling(max_new_tokens=most, stop=[text for text in until if text], **how)
        ending = ReplyEnd(self.model.encoder, generator, None)
        prompts = [self.tok_encode(context)[-(self.max_length - most) :] or [self.prefix_token_id] for context in contexts]
        said = self.model.said(prompts, generator, ending)
        return [postprocess_generated_text(each.text, until, None) for each in said]


def _drawing(told: dict[str, Any], sampled: bool) -> dict[str, Any]:
    """Fields of our sampling that draws as the harness' model `hf` does. ModelwrightError: that one can't either."""
    how = {"temperature": 0.0, "top_p": 1.0} | {DRAWN[name]: value for name, value in told.items() if sampled or name in GREEDY}
    if not sampled:
        return how
    if not how["temperature"]:
        raise ModelwrightError("a task's generation_kwargs: do_sample is true, and temperature 0 or not told; it is above 0")
    return how | {"top_k": how.get("top_k", TOP_K) or None}  # 0: no limit


def judged(evaluator: LMEval, model: Model, out: Path) -> list[Score]:
    """The harness' numbers of this model. Every rank calls it."""
    with seeded():
        tasks = loaded(evaluator)
        asked = Harnessed(model, begin=evaluator.begin)
        try:
            found: Any = evaluate(lm=asked, task_dict=tasks, limit=evaluator.limit, bootstrap_iters=0, log_samples=True)
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
