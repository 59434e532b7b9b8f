"""A pipeline of real training that is killed in each of its phases, and goes on to the very bits of one that nothing stopped."""

from __future__ import annotations

import json
import signal

import pytest
from toy_pipelines import Home

pytestmark = pytest.mark.slow
SMALL = (
    "source.max_bytes=400_000", "filter=[]", "deduper=[]", "curate.min_bytes=0", "tokenizer.vocab_size=300", "architecture.layers=2",
    "train.steps=12", "train.checkpoint_every=3", "train.sequence_length=64", "train.global_batch=4", "evaluate.prompts=['def f(']",
    "muon.stages=[train]", "adamw.stages=[train,evaluate]",
)  # fmt: skip
TIMED = ("metrics.jsonl", "curation.html")  # these tell how long things took


def test_a_pipeline_killed_in_every_phase_ends_with_the_same_bits(tmp_path):
    home = Home(tmp_path)
    env = {"MODELWRIGHT_PLUGINS": ""}
    words = ("run", "pipeline=side-by-side", *SMALL, "run.reuse=false")
    code, said, errors = home.modelwright(*words, "run.dir=whole", **env)
    assert code == 0, said + errors
    home.end_when("killed/data/curate", signal.SIGKILL, *words, "run.dir=killed", **env)
    for file in ("muon/train/checkpoint/latest.json", "adamw/logs/evaluate.rank0.log"):
        assert home.end_when(f"killed/{file}", signal.SIGKILL, "resume", "killed", **env)[0] == -signal.SIGKILL
    code, said, errors = home.modelwright("resume", "killed", **env)
    assert code == 0, said + errors

    def lasting(pipeline: str) -> dict[str, str]:
        return {key: value for key, value in home.hashes(pipeline).items() if not key.endswith(TIMED)}

    whole, killed = lasting("whole"), lasting("killed")
    assert len(whole) >= 7 and killed == whole
    for model in ("muon", "adamw"):
        steps = [
            [(row["step"], row["loss"]) for row in map(json.loads, (tmp_path / f"{p}/{model}/metrics.jsonl").read_text().splitlines())]
            for p in ("whole", "killed")
        ]
        assert steps[0] == steps[1] and len(steps[0]) == 12
    page = (tmp_path / "killed" / "report.html").read_text()
    assert "bits_" in page and 'href="adamw/evaluation.json"' in page
