"""A trained model before its evaluators, on all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer, TokenShards
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine import checkpoint, inference
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.pretrained import template_of
from modelwright_plugins.engine.weight_bytes import weight_bytes, weight_count
from modelwright_plugins.evaluator import Evaluator, Score
from modelwright_plugins.evaluator.likelihood import without_likelihood
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.report.over_training import by_score
from modelwright_plugins.stage import _held_out_text as text
from modelwright_plugins.stage._speed import tokens_per_second

if TYPE_CHECKING:
    from modelwright_plugins.stage.evaluate import Evaluate


def judged(stage: Evaluate, job: Job) -> tuple[dict[str, Any], dict[str, float]] | None:
    """What evaluation.json holds, and what the model costs: bytes of its weights, and the tokens_per_second that it writes (by
    `_speed`, not of what was asked). On rank 0 alone, though all ranks do the work."""
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
        cost = {"bytes": weight_bytes(taken.path), **({} if why else {"tokens_per_second": tokens_per_second(trained)})}
        scores = _scores(job, held, model, job.out)
        before = _earlier(stage, job, trained, model, told=held is not None) if stage.every else []
        if not model.first:
            return None
    if why:
        print(f"  {why}: no held-out text, no samples", flush=True)
    found = held.judged() if held else {}
    if before:
        before[-1]["scores"] = scores
    if (numbers := weight_count(taken.path)) is not None:
        found["parameters"] = numbers
    return {**found, "samples": samples, "scores": scores, **({"checkpoints": before} if before else {})}, cost


def _scores(job: Job, held: text.HeldOutText | None, model: Model, out: Path, *, again: bool = False) -> list[dict[str, Any]]:
    """Of the weights that the model has now; evaluators write into folders of their names in `out`. `again`: other weights were judged
    before, and what does not depend on them is not asked again."""
    found = [("", score) for score in held.scores()] if held else []
    for name, evaluator in job.parts["evaluator"].items():
        if again and not evaluator.of_weights:
            continue
        found += [(name, score) for score in scored(name, evaluator, model, job.seed, out)]
    return [{"evaluator": name, **asdict(score)} for name, score in found]


def _earlier(stage: Evaluate, job: Job, trained: inference.TrainedModel, model: Model, *, told: bool) -> list[dict[str, Any]]:
    """{"step", "scores"} of each whole checkpoint that was kept, oldest first, the newest without its scores, which are known. The
    model has the oldest's weights afterwards. `told`: of held-out text too."""
    folder = job.take(Checkpoint).path
    newest = checkpoint.latest(folder)
    assert newest is not None, "its model was loaded"
    found: list[dict[str, Any]] = [{"step": newest}]
    while (step := checkpoint.latest(folder, below=found[-1]["step"])) is not None:
        checkpoint.load(folder, step, trained.chunks, None)
        trained.opened = {**trained.opened, "step": step}  # of which a second model of it is made
        out = job.out / checkpoint.step_folder(folder, step).name
        if model.first:
            out.mkdir()
        held = text.HeldOutText(stage, job, trained) if told else None
        found.append({"step": step, "scores": _scores(job, held, model, out, again=True)})
        if model.first and not any(out.iterdir()):
            out.rmdir()
    return found[::-1]


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


def scored(name: str, evaluator: Evaluator, model: Model, seed: int, out: Path) -> Sequence[Score]:
    """What one evaluator says, which writes into a folder of its name in `out`."""
    if evaluator.needs:
        if model.examples is None or model.examples.kind not in evaluator.needs:
            there = f"there are {model.examples.kind}" if model.examples else "there are none"
            raise ModelwrightError(f"evaluator {name} wants examples of {' or '.join(evaluator.needs)}; {there}")
        if not len(model.examples):
            raise ModelwrightError(f"evaluator {name}: no example is held out; set curate.held_out above 0")
    out = out / name
    if model.first:
        out.mkdir()
    found = evaluator.evaluate(model, out, seed=seed)
    if model.first and not any(out.iterdir()):
        out.rmdir()
    if len({score.name for score in found}) != len(found):
        raise ModelwrightError(f"evaluator {name} gives two scores of one name: {', '.join(score.name for score in found)}")
    return found


def table(found: Mapping[str, Any]) -> list[str]:
    """What is printed."""
    lines = text.table(found) if "model" in found else []
    known = found.get("checkpoints") or [{"scores": found["scores"]}]
    steps = [[f"{each['step']:,}"] if "step" in each else [] for each in known]
    rows = []
    for name, scores in by_score(known):
        there = [(step, score) for step, score in zip(steps, scores, strict=True) if score is not None]
        rows += [["" if number else name, *step, *_shown(score)] for number, (step, score) in enumerate(there)]
    if not rows:
        return lines
    heads = ["score", *(["step"] if steps[0] else []), "value", "95 % interval", "of"]
    wide = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    each = [
        [cell.rjust(size) if at else cell.ljust(size) for at, (cell, size) in enumerate(zip(row, wide, strict=True))]
        for row in [heads, *rows]
    ]
    return lines + [f"  {'  '.join(row)}" for row in each]


def _shown(score: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{score['value']:.4g}", f"{score['low']:.4g} to {score['high']:.4g}", f"{score['count']:,}"
