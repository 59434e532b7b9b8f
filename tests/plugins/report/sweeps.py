"""Folders of runs and sweeps, written as `modelwright run` would leave them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ADAMW = {"name": "adamw", "lr": 0.001, "betas": [0.9, 0.95], "weight_decay": 0.1}
MUON = {"name": "muon", "lr": 0.02, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True}


def config(**changed: Any) -> dict[str, Any]:
    """A frozen config in small."""
    given: dict[str, Any] = {
        "recipe": "pretrain/tiny",
        "seed": 1234,
        "stages": ["train", "evaluate"],
        "next": [],
        "run": {"dir": "somewhere", "reuse": True},
        "filter": {"gopher_quality": {"name": "gopher_quality", "min_words": 50}},
        "optimizer": ADAMW,
        "tracker": {"jsonl": {"name": "jsonl"}, "wandb": {"name": "wandb", "run_name": None}},
        "train": {"steps": 100, "global_batch": 16},
    }
    return given | changed


def losses(end: float, steps: int = 100, batch: int = 2048, noise: float = 0.05, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    drop = math.log(9 / end) / math.log(steps)
    return [{"step": s, "tokens": s * batch, "loss": 9 * s**-drop + float(rng.normal(0, noise))} for s in range(1, steps + 1)]


def write_run(
    folder: Path,
    settings: Mapping[str, Any] | None,
    *,
    status: str = "finished",
    error: str | None = None,
    overrides: Sequence[str] = (),
    results: Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Sequence[Mapping[str, Any]] = (),
    shards: str | None = None,
) -> Path:
    """A run's folder. `settings`: None for a job that failed before it had a config. `results`: stage -> numbers."""
    folder.mkdir(parents=True)
    stages = {stage: {"status": "finished", "seconds": 10.0, "results": numbers} for stage, numbers in (results or {}).items()}
    if shards:
        stages["evaluate"]["inputs"] = {"token_shards": shards}
    manifest = {"status": status, "error": error, "overrides": list(overrides), "stages": stages}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if settings is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(dict(settings), sort_keys=False))
        (folder / ".lock").touch()
    if metrics:
        file = folder / "metrics.jsonl" if status == "finished" else folder / "train" / "metrics.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in metrics))
    return folder


def big_sweep(folder: Path, jobs: int = 100) -> Path:
    """Learning rates over three decades, two optimizers, three depths; the last of every twelve failed, the one before was pruned."""
    rng = np.random.default_rng(4)
    for job in range(jobs):
        lr, muon = float(f"{10 ** rng.uniform(-4, -1):.3g}"), bool(rng.random() < 0.5)
        depth, tied = int(rng.choice([2, 4, 8])), bool(rng.random() < 0.5)
        bits = 1.5 + 0.12 * (math.log10(lr) + 2.5) ** 2 - 0.05 * muon - 0.02 * math.log2(depth) + float(rng.normal(0, 0.02))
        settings = config(
            optimizer={**(MUON if muon else ADAMW), "lr": lr}, architecture={"name": "causal_decoder", "layers": depth, "tied": tied}
        )
        overrides = [f"optimizer={'muon' if muon else 'adamw'}", f"optimizer.lr={lr:g}", f"architecture.layers={depth}"]
        curve = losses(bits * 2.6, steps=300, seed=job)
        if job % 12 == 11:
            write_run(
                folder / str(job),
                settings,
                status="failed",
                error="train: loss is nan at step 31 <b>",
                overrides=overrides,
                metrics=curve[:30],
            )
        elif job % 12 == 10:
            write_run(
                folder / str(job),
                settings,
                status="pruned",
                error="step 50: worse than the median",
                overrides=overrides,
                metrics=curve[:50],
            )
        else:
            results = {
                "train": {"loss": curve[-1]["loss"], "tokens": 614400},
                "evaluate": {"bits_per_byte": bits, "perplexity": 2 ** (3.9 * bits)},
            }
            write_run(folder / str(job), settings, overrides=overrides, results=results, metrics=curve)
    told = {"words": ["recipe=pretrain/tiny", "-m"], "sweeper": "optuna", "metric": ["evaluate.bits_per_byte"], "direction": ["minimize"]}
    (folder / "sweep.json").write_text(json.dumps(told))
    return folder
