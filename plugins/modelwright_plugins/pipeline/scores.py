"""What the phases of a pipeline were judged by, side by side."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright_plugins.artifacts import Checkpoint, Evaluation, Metrics, Quantization

COST = ("bytes", "tokens_per_second")
LONGEST = 20_000  # characters of a text on the page


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of one phase; its 95 % interval, where it was measured on a sample."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    best: bool = False  # of its row; of equal ones all are, and where all are equal none is


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of all phases, in their order; None: it was not measured there."""

    group: str  # the evaluator; "": held-out text
    name: str
    better: str  # "higher" or "lower"
    cells: tuple[Cell | None, ...]

    @property
    def count(self) -> str:
        """What it is measured on, where that is the same in every phase."""
        counts = {cell.count for cell in self.cells if cell and cell.count}
        return f"{counts.pop():,}" if len(counts) == 1 else ""


def judged(folder: Path, manifests: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """The phases that were evaluated, and a row for each score that one of them has."""
    found = {name: told for name, manifest in manifests.items() if (told := _scores(folder / name, manifest))}
    keys: dict[tuple[str, str], str] = {}
    for told in found.values():
        keys |= {(score["evaluator"], score["name"]): score["better"] for score in told.values()}
    rows = [_row(group, name, better, [told.get((group, name)) for told in found.values()]) for (group, name), better in keys.items()]
    return list(found), sorted(rows, key=lambda row: [group for group, _ in keys].index(row.group))


def _scores(run: Path, manifest: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """(evaluator, name) -> score, of a phase whose evaluation, or quantization, finished."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for artifact in (Evaluation.name, Quantization.name):
        if stage := made_by(manifest, artifact):
            told = json.loads((run / stage / artifact).read_text(encoding="utf-8"))
            found |= {(score["evaluator"], score["name"]): score for score in told.get("scores", [])}
    return found


def quantizations(folder: Path, manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The phases that quantized a model, and what each says of it."""
    made = [(name, stage) for name, manifest in manifests.items() if (stage := made_by(manifest, Quantization.name))]
    return [(name, json.loads((folder / name / stage / Quantization.name).read_text(encoding="utf-8"))) for name, stage in made]


def _row(group: str, name: str, better: str, scores: Sequence[Mapping[str, Any] | None]) -> Row:
    values = {score["value"] for score in scores if score}
    best = (max if better == "higher" else min)(values) if len(values) > 1 else None  # where all are alike, none is
    cells = tuple(_cell(score, best=score["value"] == best) if score else None for score in scores)
    return Row(group=group, name=name, better=better, cells=cells)


def _cell(score: Mapping[str, Any], *, best: bool) -> Cell:
    """A number that was measured on one thing, such as a model's bits, has no interval."""
    shown = ("value", "low", "high", "count") if score["count"] > 1 else ("value",)
    return Cell(**{key: score[key] for key in shown}, best=best)


def made_by(manifest: Mapping[str, Any], artifact: str) -> str | None:
    """The last stage of a run that made this."""
    return next((stage for stage, record in reversed(manifest["stages"].items()) if artifact in record.get("artifacts", {})), None)


def to_read(folder: Path, manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(phase, evaluator/file, text) of each text that evaluators wrote for people, as far as LONGEST."""
    found = []
    for name, manifest in manifests.items():
        if stage := made_by(manifest, Evaluation.name):
            for file in sorted((folder / name / stage).glob("*/*.txt")):
                text = file.read_text(encoding="utf-8", errors="replace")
                cut = f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} characters more in {name}/{stage}/{file.parent.name}/{file.name}"
                found.append((name, f"{file.parent.name}/{file.name}", text if len(text) <= LONGEST else cut))
    return found


def cost(manifest: Mapping[str, Any]) -> Mapping[str, float]:
    """What the last model of a phase costs, as the stages returned that quantized or judged it: bytes of its weights, as they are saved,
    and tokens_per_second that it writes."""
    found: dict[str, float] = {}
    for record in manifest["stages"].values():
        made = {*record.get("artifacts", {})}
        if made & {Checkpoint.name, Quantization.name}:
            found = {}  # of a model that was before this one
        if made & {Evaluation.name, Quantization.name}:
            found |= {name: value for name, value in record.get("results", {}).items() if name in COST}
    return found


def first_scores(rows: Sequence[Row]) -> list[Row]:
    """Bits per byte of held-out text, and the first score of each evaluator."""
    groups = {row.group: row for row in reversed(rows) if row.group or row.name == "bits_per_byte"}
    return [row for row in rows if row is groups.get(row.group)]


def checkpoint_bytes(manifest: Mapping[str, Any]) -> int | None:
    """Bytes of the checkpoint that a phase made, with what its optimizer keeps."""
    stage = made_by(manifest, Checkpoint.name)
    return None if stage is None else int(manifest["stages"][stage]["artifacts"][Checkpoint.name]["bytes"])


def speed(run: Path, manifest: Mapping[str, Any]) -> float | None:
    """Tokens a second in the training of a phase, the median of its steps."""
    stage = made_by(manifest, Metrics.name)
    if stage is None:
        return None
    lines = (json.loads(line) for line in (run / stage / Metrics.name).read_text(encoding="utf-8").splitlines())
    speeds = [row["tokens_per_second"] for row in lines if row.get("tokens_per_second")]
    return statistics.median(speeds) if speeds else None
