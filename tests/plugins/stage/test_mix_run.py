"""Two folders of text to a model that was trained on a mixture of them, from the command line; and a second training from the first run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

LETTERS = {"abc": "abcdefghij", "xyz": "qrstuvwxyz"}  # the folders, and of which letters their words are
RUN = (
    "recipe=pretrain/quickstart", "filter=[]", "deduper=[]", "source=mixture", "curate.min_bytes=1", "tokenizer.vocab_size=300",
    "source.parts={abc: {name: text, paths: [abc]}, xyz: {name: text, paths: [xyz]}}", "architecture.layers=1", "architecture.width=32",
    "train.sequence_length=32", "train.global_batch=8", "train.micro_batch=8", "train.steps=10",
)  # fmt: skip
PHASES = "mixture.phases={general: {share: 1, name: unimax}, last: {share: 1, name: fixed, weights: {abc: 0, xyz: 1}}}"


def modelwright(home: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "modelwright", "run", *RUN, *words], cwd=home, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_folders_to_a_model_of_their_mixture(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder, letters in LETTERS.items():
        (tmp_path / folder).mkdir()
        words = ["".join(random.choice([*letters], random.integers(2, 8))) for _ in range(100)]
        for number in range(40 if folder == "abc" else 12):
            (tmp_path / folder / f"{number}.txt").write_text(" ".join(random.choice(words, random.integers(30, 300))))
    stages = "stages=[curate,train_tokenizer,tokenize,mix,train,evaluate,report]"
    said = modelwright(tmp_path, stages, "mixture=phases", PHASES, "mix.tokens=2560", "curriculum=sorted", "run.dir=one")
    assert "in all" in said and "mix.domains: 2" in said and "what the mixture was made for" not in said
    blend = json.loads((tmp_path / "one/mix/token_shards/blend.json").read_text())
    assert {*blend["domains"]} == {*LETTERS} and blend["phases"][1]["drawn"] == {"abc": 0, "xyz": 1280} and blend["window"] == 1
    manifest = json.loads((tmp_path / "one/manifest.json").read_text())["stages"]
    shards = manifest["mix"]["artifacts"]["token_shards"]["hash"]
    assert manifest["train"]["inputs"]["token_shards"] == manifest["evaluate"]["inputs"]["token_shards"] == shards
    assert shards != manifest["tokenize"]["artifacts"]["token_shards"]["hash"]
    # in order, each domain is read without a gap: what was seen is what was trained on, and the last target of each
    evaluation = json.loads((tmp_path / "one/evaluation.json").read_text())
    assert evaluation["model"]["tokens_trained"] == 2560 and 2560 < evaluation["model"]["tokens_seen"] <= 2562
    assert (tmp_path / "one/report.html").stat().st_size > 10_000
    # the last stage that made shards is the one that `from` takes from; twice as much as was planned is told
    said = modelwright(tmp_path, "stages=[train]", "from=one", "train.steps=20", "run.dir=two")
    second = json.loads((tmp_path / "two/manifest.json").read_text())["stages"]
    assert second["train"]["inputs"]["token_shards"] == shards and "5,120 tokens, 200% of what the mixture was made for" in said
    losses = [[json.loads(line)["loss"] for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()] for run in ("one", "two")]
    assert losses[0][0] == losses[1][0]
