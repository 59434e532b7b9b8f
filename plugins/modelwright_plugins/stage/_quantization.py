"""What `quantization.json` says: the bytes of a quantized model, and how far it is from the one that it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from modelwright.component import Job
from modelwright.registry import Registry
from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.engine import quantization_error as error
from modelwright_plugins.engine.adapted import AdapterCard
from modelwright_plugins.engine.inference import read_model
from modelwright_plugins.engine.quantized_files import QuantizedCard
from modelwright_plugins.engine.weight_bytes import weight_bytes
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import bootstrap
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from modelwright_plugins.stage.quantize import Quantize


def measured(stage: Quantize, job: Job, layout: Mapping[str, Any], device: torch.device, rows: torch.Tensor | None) -> dict[str, Any]:
    """Both models beside each other, each read from its checkpoint, on all ranks together. `rows`: held-out text, int64 [rows, length + 1];
    None: the model doesn't say what comes next, and only its matrices are compared."""
    source, out, registry = job.take(Checkpoint).path, job.make(Checkpoint).path, job.hooks.registry
    original, quantized = (read_model(folder, layout, device, registry=registry, plain=True) for folder in (source, out))
    weights, outputs, sums = error.of_weights(original, quantized), dict[str, float](), None
    if rows is not None:
        with progress("comparing", len(rows), "row") as bar:
            outputs, sums = error.of_text(original, quantized, rows, batch=stage.batch, bar=bar)
    base = AdapterCard.read(source, registry)
    before, now = weight_bytes(source if base is None else base.base), weight_bytes(out)
    return _told(out, registry, error.numbers(original), before, now, weights, outputs, sums)


def _told(
    out: Path,
    registry: Registry,
    count: int,
    before: int,
    now: int,
    weights: Mapping[str, float],
    outputs: Mapping[str, float],
    sums: torch.Tensor | None,
) -> dict[str, Any]:
    card = QuantizedCard.read(out, registry)
    assert card is not None
    layers: list[dict[str, Any]] = []
    for name, about in card.layers.items():
        size, (rows, columns) = sum(each.nbytes for each in card.stored(name).values()), about["shape"]
        row = {"name": name, "outputs": rows, "inputs": columns, "bytes": size, "bits": 8 * size / (rows * columns)}
        layers.append(row | {"weight_sqnr": _finite(weights.get(name)), "output_sqnr": _finite(outputs.get(name))})
    matrices, size = sum(each["outputs"] * each["inputs"] for each in layers), sum(each["bytes"] for each in layers)
    bits = 8 * size / matrices
    fixed = {"bits": bits, "bytes": now}
    fixed |= {f"{what}_sqnr": found for what, each in (("weight", weights), ("output", outputs)) if (found := _mean(each)) is not None}
    scores = _scores(sums)
    better = {"bits": "lower", "bytes": "lower"}
    scores += [Score(name, value, value, value, 1, better.get(name, "higher")) for name, value in fixed.items()]  # type: ignore[arg-type]
    return {
        "quantizer": card.name_and_fields(),
        "parameters": {"matrices": matrices, "others": count - matrices},
        "bits": bits,
        "bytes": {"matrices": size, "others": now - size, "before": before},
        "held_out": None if sums is None else {"rows": len(sums), **_text(sums)},
        "layers": layers,
        "scores": [{"evaluator": "quantization", **asdict(score)} for score in scores],
    }


def _text(sums: torch.Tensor) -> dict[str, float]:
    """Of a token, but for their number."""
    found = dict(zip(error.TEXT, sums.sum(0).tolist(), strict=True))
    tokens = found.pop("tokens")
    return {name: value / tokens for name, value in found.items()} | {"tokens": tokens}


def _scores(sums: torch.Tensor | None) -> list[Score]:
    if sums is None:
        return []
    table = sums.numpy()

    def each(name: str, column: str, better: Any) -> Score:
        place = error.TEXT.index(column)
        return bootstrap(name, table[:, [place, -1]], lambda found: float(found[0] / found[1]), better=better)

    increase = table[:, [1, -1]].copy()
    increase[:, 0] -= table[:, 0]
    return [
        each("loss", "quantized", "lower"),
        bootstrap("loss_increase", increase, lambda found: float(found[0] / found[1]), better="lower"),
        bootstrap("perplexity", table[:, [1, -1]], lambda found: math.exp(found[0] / found[1]), better="lower"),
        each("kl", "kl", "lower"),
        each("agreement", "agreement", "higher"),
    ]


def _mean(decibels: Mapping[str, float]) -> float | None:
    """Over the layers where it is a number."""
    found = [value for value in decibels.values() if math.isfinite(value)]
    return sum(found) / len(found) if found else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def table(found: Mapping[str, Any]) -> list[str]:
    """What is printed."""
    size, said = found["bytes"], found["quantizer"]
    whole = size["matrices"] + size["others"]
    fields = " ".join(f"{key}={value}" for key, value in said["fields"].items())
    lines = [f"  {said['name']} {fields}: {found['bits']:.2f} bits a weight of {len(found['layers'])} matrices"]
    lines.append(f"  {whole:,} bytes of weights, of {size['before']:,} before: {whole / size['before']:.1%}")
    if text := found["held_out"]:
        told = f"loss {text['original']:.4f} -> {text['quantized']:.4f} nats a token, KL {text['kl']:.3g} nats"
        lines.append(f"  on {int(text['tokens']):,} held-out tokens: {told}, the same token likeliest at {text['agreement']:.1%}")
    wide = max(len(each["name"]) for each in found["layers"])
    lines.append(f"  {'layer':{wide}}  {'bits':>6}  {'SQNR of weights':>15}  {'of outputs':>10}")
    worst = sorted(found["layers"], key=lambda each: _first(each["output_sqnr"], each["weight_sqnr"]))[:5]
    return lines + [f"  {e['name']:{wide}}  {e['bits']:6.2f}  {_db(e['weight_sqnr']):>15}  {_db(e['output_sqnr']):>10}" for e in worst]


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), math.inf)


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"
