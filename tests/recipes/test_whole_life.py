"""The whole life on few dialogues and steps: killed in the middle, gone on with, and its export answers in transformers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
JUDGED = ("base", "sft", "dpo", "quantized")
SMALL = [
    *("base.source.dialogues=300", "base.curate.min_bytes=0", "base.train.steps=3", "sft.align.steps=2", "dpo.align.steps=2"),
    *("mistakes.sample_pairs.turns=64", "dpo.align.global_batch=1", "dpo.align.micro_batch=1", "quantized.quantize.rows=4"),
    *(f"{phase}.parallel.data=1" for phase in (*JUDGED, "mistakes")),
    *(f"{phase}.generator.max_new_tokens=4" for phase in (*JUDGED, "mistakes")),
    *(f"{phase}.evaluator.order_dialogues.dialogues=4" for phase in JUDGED),
]
PHASES = ["base", "sft", "mistakes", "dpo", "quantized", "exported"]


def test_a_whole_life_killed_goes_on_and_its_export_answers_in_transformers(tmp_path: Path) -> None:
    env = {**os.environ, "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "modelwright"]
    how = {"cwd": tmp_path, "env": env, "text": True, "stderr": subprocess.STDOUT}
    with (tmp_path / "first.log").open("w") as log:
        leader = subprocess.Popen([*words, "run", "pipeline=whole-life", *SMALL, "run.dir=out"], stdout=log, **how)  # type: ignore[call-overload]
    trained = tmp_path / "out/sft/align/checkpoint"
    while not trained.exists() and leader.poll() is None:
        time.sleep(0.1)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    assert trained.exists(), (tmp_path / "first.log").read_text()[-3000:]
    assert not (tmp_path / "out/dpo/align").exists()

    done = subprocess.run([*words, "resume", "out"], stdout=subprocess.PIPE, timeout=600, **how)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-3000:]
    manifests = {name: json.loads((tmp_path / "out" / name / "manifest.json").read_text()) for name in PHASES}
    assert {name: each["status"] for name, each in manifests.items()} == dict.fromkeys(PHASES, "finished")
    assert "finished already" in done.stdout

    page = re.sub(r"<[^>]*>", " ", (tmp_path / "out/report.html").read_text())
    told = ("Weights, as saved", "Bits per byte", "Combinations, correctness", "Writes, tokens/s", "answers in transformers")
    assert not [what for what in told if what not in page]
    (lines,) = re.findall(r"(?m)^ *from transformers import .*\n.*\n.*$", done.stdout)
    program = "\n".join(line.strip() for line in lines.splitlines())
    offline = {**env, "HF_HUB_OFFLINE": "1"}
    answered = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=offline, capture_output=True, text=True, timeout=120)
    assert answered.returncode == 0 and answered.stdout.strip(), f"{program}\n{answered.stderr[-2000:]}"
