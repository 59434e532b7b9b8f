"""The stage that writes the report of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents, Evaluation, Metrics, Report, TokenShards


@dataclass(frozen=True, kw_only=True)
class WriteReport(Stage):
    """One HTML file about a run: data, training, evaluation, samples; it needs no network."""

    takes: ClassVar[tuple[type[Artifact], ...]] = (Documents, TokenShards, Metrics, Evaluation)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Report,)

    def run(self, job: Job) -> None:
        from modelwright_plugins.artifacts.blend import Blend
        from modelwright_plugins.report.page import Findings, page

        manifest = job.run / "manifest.json"
        metrics = job.take(Metrics).path
        steps = [_parsed(line, f"{metrics}:{number}") for number, line in enumerate(metrics.read_text(encoding="utf-8").splitlines(), 1)]
        if not steps:
            raise ModelwrightError(f"{metrics}: expected a line for each training step, found none")
        found = Findings(
            funnel=_read(job.take(Documents).path / "funnel.json"),
            shards=_read(job.take(TokenShards).path / "shards.json"),
            metrics=steps,
            evaluation=_read(job.take(Evaluation).path),
            config=job.config,
            manifest=_read(manifest) if manifest.exists() else {},
            run=str(job.run),
            blend=Blend.read(job.take(TokenShards).path),
        )
        # A lone surrogate, which data may hold, is no character: it becomes a question mark.
        job.make(Report).path.write_text(page(found), encoding="utf-8", errors="replace")


def _read(file: Path) -> Any:
    try:
        return _parsed(file.read_text(encoding="utf-8"), str(file))
    except OSError as e:
        raise ModelwrightError(f"{file} can't be read: {e.strerror}") from e


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        raise ModelwrightError(f"{where}: expected JSON ({e})") from e
