from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from example import findings

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright.hooks import Hooks
from modelwright_plugins.artifacts import Documents, Evaluation, Metrics, Report, TokenShards
from modelwright_plugins.stage.report import WriteReport


@pytest.fixture
def job(tmp_path: Path) -> Job:
    found = findings()
    for folder in ("documents", "shards", "report"):
        (tmp_path / folder).mkdir()
    (tmp_path / "documents/funnel.json").write_text(json.dumps(found.funnel))
    (tmp_path / "shards/shards.json").write_text(json.dumps(found.shards))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found.metrics))
    (tmp_path / "evaluation.json").write_text(json.dumps(found.evaluation))
    (tmp_path / "manifest.json").write_text(json.dumps(found.manifest))
    inputs: dict[Any, Any] = {
        Documents: Documents(tmp_path / "documents"),
        TokenShards: TokenShards(tmp_path / "shards"),
        Metrics: Metrics(tmp_path / "metrics.jsonl"),
        Evaluation: Evaluation(tmp_path / "evaluation.json"),
    }
    return Job(tmp_path, tmp_path / "report", 1234, {}, inputs, Hooks(), found.config)


def test_it_writes_one_page_from_the_artifacts(job: Job) -> None:
    WriteReport().run(job)
    text = job.make(Report).path.read_text(encoding="utf-8")
    assert [path.name for path in job.out.iterdir()] == ["report.html"]
    assert "1.57 bits per byte" in text and "modelwright run recipe=pretrain/quickstart train.steps=576" in text
    assert "torch: 2.13.0" in text and len(text) < 300_000


def test_without_a_manifest_it_says_less(job: Job) -> None:
    (job.run / "manifest.json").unlink()
    WriteReport().run(job)
    assert "Versions" not in job.make(Report).path.read_text(encoding="utf-8")


def test_text_that_is_no_unicode_is_still_written(job: Job) -> None:
    file = job.take(Documents).path / "funnel.json"
    file.write_text(file.read_text().replace("too_short", "\\ud800"))
    WriteReport().run(job)
    assert "?: 502 documents" in job.make(Report).path.read_text(encoding="utf-8")


def test_bad_inputs_are_named(job: Job) -> None:
    metrics = job.take(Metrics).path
    metrics.write_text('{"step": 1}\n{"st')
    with pytest.raises(ModelwrightError, match=r"metrics\.jsonl:2: expected JSON"):
        WriteReport().run(job)
    metrics.write_text("")
    with pytest.raises(ModelwrightError, match="expected a line for each training step"):
        WriteReport().run(job)
    job.take(Evaluation).path.unlink()
    metrics.write_text("{}\n")
    with pytest.raises(ModelwrightError, match=r"evaluation\.json can't be read: No such file"):
        WriteReport().run(job)
