"""A trained model made into a quantized one, on all ranks."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Examples, Quantization, QuantizationReport, TokenShards
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine import adapted, calibration, checkpoint, fake_quantized, pretrained, quantized_files
from modelwright_plugins.engine.blend import opened
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.inference import read_model, without_context
from modelwright_plugins.engine.quantized import quantize as quantized_weights
from modelwright_plugins.engine.start import started
from modelwright_plugins.engine.texts import stored_tokens
from modelwright_plugins.engine.trainer import how
from modelwright_plugins.evaluator.likelihood import without_likelihood
from modelwright_plugins.progress import progress
from modelwright_plugins.report.quantization import page
from modelwright_plugins.stage import _quantization

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.examples import Part
    from modelwright_plugins.stage.quantize import Quantize


def quantized(stage: Quantize, job: Job) -> dict[str, Any]:
    """Write the quantized checkpoint, if it isn't whole already, and compare. The stage's headline numbers."""
    source, out = job.take(Checkpoint).path, job.make(Checkpoint).path
    card = ModelCard.read(source / "model.json", job.hooks.registry)
    quantized_files.refuse_again(source)
    if (quantizer := job.parts["quantizer"]).trains and not fake_quantized.check_trained(source, quantizer):
        warnings.warn(
            f"{source} was not trained with quantization_aware=true: its matrices are rounded to qat's levels afterwards", stacklevel=2
        )
    layout = how(job.parts) | {"parallel": without_context(job.parts["parallel"])}
    with started(layout["parallel"], seed=job.seed) as device:
        if checkpoint.latest(out) is None:  # calibration can take hours: what stopped after it begins after it
            write(stage, job, card, layout, device)
        held_out = None if without_likelihood(card.architecture, card.head) else stream_rows(stage, job, card, "held_out", stage.compared)
        found = _quantization.measured(stage, job, layout, device, held_out)
        if dist.get_rank() != 0:
            return {}
    job.make(Quantization).path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    job.make(QuantizationReport).path.write_text(page(found, job.config.get("recipe")), encoding="utf-8")
    print("\n".join(_quantization.table(found)), flush=True)
    numbers = {score["name"]: score["value"] for score in found["scores"]}
    job.hooks.call("on_evaluate", run=job.run, metrics={f"quantization/{name}": value for name, value in numbers.items()})
    return numbers


def write(stage: Quantize, job: Job, card: ModelCard, layout: Mapping[str, Any], device: torch.device) -> None:
    """The quantized checkpoint; its step, which is written last, says that it is whole."""
    source, out, registry, quantizer = job.take(Checkpoint).path, job.make(Checkpoint).path, job.hooks.registry, job.parts["quantizer"]
    trained = read_model(source, layout, device, registry=registry, plain=True)
    if quantizer.calibrates:
        if why := without_likelihood(card.architecture, card.head):
            raise ModelwrightError(f"a quantizer that calibrates asks a model for the next token: {why}")
        rows = training_rows(stage, job, card)
        layers = sum(len(chunk.decoder.layers) for chunk in trained.chunks)  # this rank's, as are those that are done
        with progress("quantizing", layers, "block") as bar:
            kept = calibration.quantize(trained, quantizer, rows, batch=stage.batch, done=lambda: bar.update(1))
    else:
        kept = quantized_weights(trained.chunks, quantizer)
    if dist.get_rank() == 0:
        shutil.rmtree(out, ignore_errors=True)  # of one that was stopped while it wrote, under another layout perhaps
        card.write(out / "model.json", registry)
        bring(source, card, out)
    dist.barrier()
    quantized_files.write(out, kept, quantizer, registry)
    checkpoint.save(out, trained.progress["updates"], trained.chunks, None, keep_last=1, progress=dict(trained.progress))


def bring(source: Path, card: ModelCard, out: Path) -> None:
    """What stands beside a checkpoint's weights. A plain one's own progress says what it saw in training, and is kept."""
    if (source / adapted.FILE).is_file():
        pretrained.carry_on(source, card, out)
        return
    for name in (pretrained.FILE, pretrained.TEMPLATE):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def training_rows(stage: Quantize, job: Job, card: ModelCard) -> torch.Tensor:
    """int64 [rows, length + 1] of training data: texts drawn by the run's seed, or the first examples."""
    if stage.data == "examples":
        return stream_rows(stage, job, card, "train", stage.rows)
    length = min(stage.length, card.sequence_length)
    texts = opened(job.take(TokenShards).path / "train", (length + 1,), seed=job.seed, length=length)
    return torch.from_numpy(np.stack([texts.spans(number)[0] for number in range(stage.rows)]).astype(np.int64))


def stream_rows(stage: Quantize, job: Job, card: ModelCard, part: Part, most: int) -> torch.Tensor:
    """int64 [at most so many rows, length + 1], cut from texts or examples that stand one after another."""
    if stage.data == "examples":
        tokens = StoredExamples(job.take(Examples).path, part).tokens
    else:
        tokens = stored_tokens(job.take(TokenShards).path / part)
    width = min(stage.length + 1, card.sequence_length + 1, len(tokens))
    rows = min(most, len(tokens) // max(width, 1))
    if width < 2:
        raise ModelwrightError(
            f"no {part} tokens to quantize with; stage {'prepare' if stage.data == 'examples' else 'tokenize'} has made none"
        )
    return torch.from_numpy(np.array(tokens[: rows * width]).astype(np.int64).reshape(rows, width))
