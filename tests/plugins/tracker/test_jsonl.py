from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.tracker.jsonl import Jsonl


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_one_object_a_step(tmp_path: Path) -> None:
    log = Jsonl().open(tmp_path, {}, step=0)
    row = {"step": 1, "tokens": 4096, "loss": 8.5, "grad_norm": 1.25, "lr": 3e-4, "tokens_per_second": 1000.0}
    log.log(row)
    log.log({**row, "step": 2, "loss": float("nan")})
    log.close()
    first, second = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(first) == row
    assert json.loads(second, parse_constant=pytest.fail)["loss"] is None


def test_resume_drops_later_entries_and_a_half_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {n}, "loss": 1.0}}\n' for n in range(1, 8)) + '{"step": 8, "lo')
    log = Jsonl().open(tmp_path, {}, step=5)
    assert steps(path) == [1, 2, 3, 4, 5]
    log.log({"step": 6, "loss": 0.5})
    log.close()
    assert steps(path) == [1, 2, 3, 4, 5, 6]


def test_a_new_start_begins_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    Jsonl().open(tmp_path, {}, step=0).close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nhello\n{"step": 3}\n')
    with pytest.raises(ModelwrightError, match=r"metrics\.jsonl:2: expected a JSON object with 'step'.*hello"):
        Jsonl().open(tmp_path, {}, step=3)


def test_a_killed_process_leaves_every_finished_line(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\nfrom modelwright_plugins.tracker.jsonl import Jsonl\n"
        "log = Jsonl().open(pathlib.Path(sys.argv[1]), {}, step=0)\n"
        "for step in range(1, 101): log.log({'step': step, 'loss': 1.0})\n"
        "print('written', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"written\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert steps(tmp_path / "metrics.jsonl") == list(range(1, 101))
