"""Observations from runs of our own: what each run in a folder wrote down of itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.run import MANIFEST, read_manifest
from modelwright_plugins.artifacts import Checkpoint, Evaluation, TokenShards
from modelwright_plugins.scaling.observations import Observations

EMBEDDINGS = ("word_embeddings", "position_embeddings", "output_layer")  # in the names of Megatron's parameters


def read_runs(folders: Sequence[Path], *, embeddings: bool) -> Observations:
    """The runs of sweeps, or single ones: parameters (with or without `embeddings`), tokens trained on, loss on held-out text.

    Quarantined are runs that did not finish, that evaluated nothing, or whose evaluation is not like that of most: a loss in
    nats a token can only be compared on the same tokens, each told from as much context.
    """
    found, bad = [], []
    for run in [run for folder in folders for run in _runs(folder)]:
        try:
            found.append((run, *_measured(run)))
        except ModelwrightError as e:
            bad.append(f"{run}: {e}")
    if not found:
        raise ModelwrightError(f"no finished run with an evaluation; {bad[0]}")
    usual = Counter(how for *_, how in found).most_common(1)[0][0]
    bad += [f"{run}: evaluated on other text, or in other windows, than most runs" for run, *_, how in found if how != usual]
    kept = [row for row in found if row[-1] == usual]
    count = ParameterCount()
    parameters = np.array([count(model, embeddings=embeddings) for _, model, *_ in kept], float)
    tokens, losses = (np.array([row[column] for row in kept], float) for column in (2, 3))
    labels = [f"run {run.name}" if len(folders) == 1 else str(run) for run, *_ in kept]
    return Observations(", ".join(str(folder) for folder in folders), parameters, tokens, losses, labels, bad)


def _runs(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists():
        return [folder]
    if not (runs := [file.parent for file in folder.glob(f"*/{MANIFEST}")]):
        raise ModelwrightError(f"{folder} is neither a run nor a sweep: there is no {MANIFEST} in it or one folder down")
    return sorted(runs, key=lambda run: (len(run.name), run.name))


def _measured(run: Path) -> tuple[Path, float, float, str]:
    """Its model.json, tokens trained on, held-out loss, and what that was measured on: the shards' hash, window and stride."""
    manifest = read_manifest(run)
    if manifest.get("status") != "finished":
        raise ModelwrightError(f"{manifest.get('status')}, not finished" + (f": {manifest['error']}" if manifest.get("error") else ""))
    evaluated, stage = _stage_that_made(manifest, Evaluation.name)
    _, maker = _stage_that_made(manifest, Checkpoint.name)
    file = run / stage / Evaluation.name
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        model, context = told["model"], told["context"]
        how = f"{evaluated['inputs'][TokenShards.name]} {context['window']} {context['stride']}"
        return run / maker / Checkpoint.name / "model.json", float(model["tokens_trained"]), float(model["loss"]), how
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{file} is not an evaluation that can be read ({type(e).__name__}: {e})") from None


def _stage_that_made(manifest: Mapping[str, Any], artifact: str) -> tuple[Mapping[str, Any], str]:
    for name, record in manifest["stages"].items():
        if artifact in record.get("artifacts", {}):
            return record, name
    raise ModelwrightError(f"no stage of it made {artifact}" + ("; add evaluate to its stages" if artifact == Evaluation.name else ""))


class ParameterCount:
    """Counts the parameters of a model.json on the modules that training would build; each kind of model once."""

    def __init__(self) -> None:
        self.counted: dict[str, dict[str, int]] = {}

    def __call__(self, file: Path, *, embeddings: bool) -> int:
        """All parameters, or those without token and position embeddings and the output matrix (Kaplan et al. 2020, section 2.1)."""
        text = file.read_text(encoding="utf-8")
        if text not in self.counted:
            self.counted[text] = self._sizes(file)
        return sum(n for name, n in self.counted[text].items() if embeddings or not any(e in name for e in EMBEDDINGS))

    def _sizes(self, file: Path) -> dict[str, int]:
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.forecast import sizes

        registry = discover().registry
        card = ModelCard.read(file, registry)
        plain = {kind: registry.load(kind, name)() for kind, name in (("precision", "fp32"), ("kernel", "torch"), ("attention", "native"))}
        layout = registry.load("parallel", "megatron")()
        return sizes(card.architecture, layout, 0, **plain, vocab_size=card.vocab_size, sequence_length=card.sequence_length)
