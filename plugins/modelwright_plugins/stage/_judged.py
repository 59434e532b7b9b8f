"""A trained model before its evaluators, on all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer, TokenShards
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine import inference
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.pretrained import template_of
from modelwright_plugins.evaluator import Evaluator, Score
from modelwright_plugins.evaluator.likelihood import without_likelihood
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.stage import _held_out_text as text

if TYPE_CHECKING:
    from modelwright_plugins.stage.evaluate import Evaluate


def judged(stage: Evaluate, job: Job) -> dict[str, Any] | None:
    """What evaluation.json holds; on rank 0 alone, though all ranks do the work."""
    taken = job.take(Checkpoint)
    card = ModelCard.read(taken.path / "model.json", job.hooks.registry)
    where = {kind: job.parts[kind] for kind in ("parallel", "precision", "kernel", "attention")}
    why = without_likelihood(card.architecture, card.head)
    with inference.open_model(taken, **where, seed=job.seed) as trained:
        held = text.HeldOutText(stage, job, trained) if stage.text and not why else None
        model = _model(stage, job, trained)
        samples: list[dict[str, str]] = []
        if not why:
            completed = model.complete(stage.prompts)
            samples = [{"prompt": prompt, "text": said} for prompt, said in zip(stage.prompts, completed, strict=True)]
        scores = [("", score) for score in held.scores()] if held else []
        for name, evaluator in job.parts["evaluator"].items():
            scores += [(name, score) for score in scored(name, evaluator, model, job)]
        if not model.first:
            return None
    if why:
        print(f"  {why}: no held-out text, no samples", flush=True)
    found = held.judged() if held else {}
    return {**found, "samples": samples, "scores": [{"evaluator": name, **asdict(score)} for name, score in scores]}


def _model(stage: Evaluate, job: Job, trained: inference.TrainedModel) -> Model:
    examples = None
    if stage.examples:
        examples = StoredExamples(job.take(Examples).path, "held_out")
        examples.check_tokenizer(job.take(Tokenizer).path)
    template = template_of(job.take(Checkpoint).path)
    tokenizer, generator = job.take(Tokenizer).path, job.parts["generator"]
    shards = job.take(TokenShards).path if stage.text else None
    how: dict[str, Any] = {"template": template, "examples": examples, "shards": shards, "seed": job.seed, "batch": stage.batch}
    return Model(trained, tokenizer, generator, **how)


def scored(name: str, evaluator: Evaluator, model: Model, job: Job) -> Sequence[Score]:
    """What one evaluator says, which writes into a folder of its name beside evaluation.json."""
    if evaluator.needs:
        if model.examples is None or model.examples.kind not in evaluator.needs:
            there = f"there are {model.examples.kind}" if model.examples else "there are none"
            raise ModelwrightError(f"evaluator {name} wants examples of {' or '.join(evaluator.needs)}; {there}")
        if not len(model.examples):
            raise ModelwrightError(f"evaluator {name}: no example is held out; set curate.held_out above 0")
    if model.first:
        (out := job.out / name).mkdir()
    else:
        out = job.out / name
    found = evaluator.evaluate(model, out, seed=job.seed)
    if model.first and not any(out.iterdir()):
        out.rmdir()
    if len({score.name for score in found}) != len(found):
        raise ModelwrightError(f"evaluator {name} gives two scores of one name: {', '.join(score.name for score in found)}")
    return found


def table(found: Mapping[str, Any]) -> list[str]:
    """What is printed."""
    lines = text.table(found) if "model" in found else []
    rows = [[f"{score['evaluator']}/{score['name']}".lstrip("/"), *_shown(score)] for score in found["scores"]]
    if not rows:
        return lines
    wide = max(len(row[0]) for row in rows)
    lines.append(f"  {'score':{wide}}  {'value':>9}  {'95 % interval':>21}  {'of':>7}")
    return lines + [f"  {name:{wide}}  {value:>9}  {interval:>21}  {count:>7}" for name, value, interval, count in rows]


def _shown(score: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{score['value']:.4g}", f"{score['low']:.4g} to {score['high']:.4g}", f"{score['count']:,}"
