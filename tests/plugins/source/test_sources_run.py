"""Sources as a stranger uses them: from the command line to documents and a quarantine."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_sources import pages, small_sources, warc

RUN = ("run", "recipe=pretrain/quickstart", "stages=[curate]", "filter=[]", "curate.min_bytes=1", "executor.workers=2")


def modelwright(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "modelwright", *words], cwd=home, capture_output=True, text=True, timeout=250)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def documents(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted((run / "curate" / "documents").glob("*.jsonl.gz")) for line in gzip.open(file)]


@pytest.mark.slow
def test_a_crawl_and_dialogues_to_documents(tmp_path: Path) -> None:
    small_sources(tmp_path)
    for number in range(3):
        (tmp_path / f"crawl{number}.warc.gz").write_bytes(warc(pages(12)[number * 4 : number * 4 + 4]))
    broken = bytearray((tmp_path / "crawl1.warc.gz").read_bytes())
    broken[len(broken) // 2] ^= 0xFF
    (tmp_path / "crawl1.warc.gz").write_bytes(bytes(broken))
    (tmp_path / "comments.jsonl").open("a").write("{broken\n")
    parts = "source.parts={web:{name:warc,paths:[crawl*.warc.gz]},talk:{name:conversations,paths:[comments.jsonl]},code:{paths:[code]}}"
    for tasks in (1, 3):
        done = modelwright(tmp_path, *RUN, "source=mixture", parts, "deduper=[exact]", f"executor.tasks={tasks}", f"run.dir=run{tasks}")
        assert done.returncode == 0, done.stderr
        assert "could not be read 2" in done.stdout
    found = documents(tmp_path / "run1")
    assert found == documents(tmp_path / "run3")
    assert {d["metadata"]["source"] for d in found} == {"web", "talk", "code"}
    assert sum(d["metadata"]["source"] == "web" for d in found) >= 10
    bad = lines(tmp_path / "run1" / "curate" / "quarantine.jsonl")
    assert sorted((b["file"], *(sorted(set(b) & {"line", "offset"}))) for b in bad) == [
        ("comments.jsonl", "line"),
        ("crawl1.warc.gz", "offset"),
    ]
    dialogue = next(d for d in found if d["metadata"]["source"] == "talk")
    assert dialogue["text"] == "\n\n".join(m["content"] for m in dialogue["metadata"]["messages"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["source=warc", "source.paths=[smal.warc.gz]"], "source.paths: nothing matches smal.warc.gz; did you mean 'small.warc.gz'?"),
        (["source=parquet", "source.paths=[small.parquet]", "source.text_key=txt"], "has no column 'txt'; did you mean 'text'?"),
        (["source=mixture", "source.parts={a:{name:warcs}}"], "parts.a: no source named 'warcs'; did you mean 'warc'?"),
        (["source=mixture", "source.parts={web:{name:warc,paths:[x]}}"], "source.parts.web.paths: nothing matches x"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_runs(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "small.warc.gz").write_bytes(warc(pages(1)))
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "small.parquet")
    done = modelwright(tmp_path, *RUN, *words)
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list(tmp_path.glob("runs/**/curate"))
