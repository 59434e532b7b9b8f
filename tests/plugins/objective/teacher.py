"""A teacher to distil from: a small decoder's checkpoint, on one rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import BATCH, LENGTH, VOCABULARY, built_in, small_decoder


def made(folder: Path, **changes: Any) -> Path:
    """Trained for some updates, so that it knows something."""
    on_ranks(_make, 1, folder / "made", out=folder / "teacher", changes={"layers": 4, "width": 48, "heads": 4, **changes})
    return folder / "teacher"


def _make(rank: int, out: Path, changes: dict[str, Any]) -> None:
    from modelwright.hooks import discover
    from modelwright_plugins.conformance.training import batches
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled

    parts = {**built_in(), "architecture": small_decoder(**changes)}
    joined(rank, 1)
    with started(parts["parallel"], seed=7):
        trainer = assembled(parts, batches(parts["objective"]), global_batch=BATCH, micro_batch=2, steps=10)
        for _ in trainer.updates(0):
            pass
        ModelCard(parts["architecture"], VOCABULARY, LENGTH, 0, 7).write(out / "model.json", discover().registry)
        checkpoint.save(out, 10, [chunk.module for chunk in trainer.chunks], trainer.optimizer, keep_last=None)
