"""From a file of conversations to a model trained on them, and from a file of pairs to one that prefers: through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
SMALL = ["prepare.template=chatml", "align.sequence_length=160", "align.global_batch=8", "curate.held_out=0.1", "schedule.warmup=0"]
MODEL = ["architecture=causal_decoder", "architecture.layers=1", "architecture.width=32", "architecture.heads=2"]
TRAIN = ["train.steps=4", "train.sequence_length=64", "train.global_batch=8", "train.checkpoint_every=null", "tokenizer.vocab_size=400"]


def run(folder: Path, *words: str) -> list[dict[str, Any]]:
    """The metrics of a run in `folder`."""
    command = [sys.executable, "-m", "modelwright", "run", "source=examples", "optimizer=adamw", f"run.dir={folder}", *SMALL, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder.parent)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return [json.loads(line) for line in (folder / "align" / "metrics.jsonl").read_text().splitlines()]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_sft_and_then_preferences(tmp_path: Path) -> None:
    with (tmp_path / "chat.jsonl").open("w") as chat, (tmp_path / "pairs.jsonl").open("w") as pairs:
        for number in range(120):
            item = ("soup", "bread", "tea", "rice", "milk")[number % 5]
            asked, right, wrong = f"I would like {item} number {number}.", f"Which size of {item}?", f"One large {item} is on its way."
            last = [turn("user", "A large one."), turn("assistant", wrong)]
            chat.write(json.dumps({"messages": [turn("user", asked), turn("assistant", right), *last]}) + "\n")
            sides = {"chosen": [turn("assistant", right)], "rejected": [turn("assistant", wrong)]}
            pairs.write(json.dumps({"prompt": [turn("user", asked)], **sides}) + "\n")
    stages = "stages=[curate,train_tokenizer,tokenize,train,prepare,align]"
    sft = run(tmp_path / "sft", stages, "source.paths=[chat.jsonl]", "aligner=sft", "align.steps=6", *MODEL, *TRAIN)
    assert sft[-1]["loss"] < sft[0]["loss"]
    further = ["stages=[curate,prepare,align]", f"from={tmp_path / 'sft'}", "optimizer.lr=1e-3", "align.steps=6"]
    dpo = run(tmp_path / "dpo", *further, "source.paths=[pairs.jsonl]", "aligner=dpo")
    assert dpo[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert dpo[-1]["rewards/margins"] > 0.01 and dpo[-1]["rewards/accuracies"] == 1
