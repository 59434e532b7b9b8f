"""A curation that is killed and resumed makes the same bits, and does not do twice what was done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelwright.component import Job
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.executor.local import Local
from modelwright_plugins.executor.slurm import Slurm
from modelwright_plugins.source.jsonl import Jsonl
from modelwright_plugins.source.text import Text
from modelwright_plugins.stage._resumed import begin
from modelwright_plugins.stage.curate import Curate

TASKS = 8
WORDS = [
    "run", "stages=[curate]", "source=jsonl", "source.paths=[texts/*.jsonl]", "filter=[symbol_ratio]",
    "deduper=[exact]", f"executor.tasks={TASKS}", "executor.workers=2", "run.reuse=false",
]  # fmt: skip


def corpus(folder, files=TASKS, documents=300):
    pick = random.Random(0)
    known = [f"w{i}" for i in range(3000)] + ["the", "of", "and", "to", "that", "with", "have", "be"] * 300
    folder.mkdir()
    before = []
    for number in range(files):
        with (folder / f"{number:02d}.jsonl").open("w") as out:
            for i in range(documents):
                text = "\n".join(" ".join(pick.choices(known, k=12)).capitalize() + "." for _ in range(40))
                if pick.random() < 0.1 and before:
                    text = pick.choice(before)
                before.append(text)
                out.write(json.dumps({"text": text, "id": f"{number}-{i}"}) + "\n")


def modelwright(folder, *words):
    env = {**os.environ, "MODELWRIGHT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "modelwright", *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(folder, *words):
    process = modelwright(folder, *words)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return said


def killed_at(folder, file, *words):
    """SIGKILL to the process that leads, and to no other, once `file` is there."""
    process = modelwright(folder, *words)
    deadline = time.monotonic() + 120
    while not (folder / file).exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return {path: path.stat().st_mtime_ns for path in (folder / "killed/curate/logs").glob("*/completions/*")}


@pytest.mark.slow
def test_the_same_bits_as_one_that_was_left_alone(tmp_path):
    corpus(tmp_path / "texts")
    finished(tmp_path, *WORDS, "run.dir=alone")
    done = killed_at(tmp_path, "killed/curate/logs/pass_0/completions/00001", *WORDS, "run.dir=killed")
    assert 1 <= len(done) < TASKS
    later = killed_at(tmp_path, "killed/curate/logs/pass_1/completions/00000", "resume", "killed")
    assert len(later) >= TASKS + 2 and later.items() >= done.items()
    finished(tmp_path, "resume", "killed")
    for path, stamp in later.items():
        assert path.stat().st_mtime_ns == stamp, path  # it was not run again
    assert not (tmp_path / "killed/curate/work").exists()
    runs = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("alone", "killed")]
    assert runs[0]["stages"]["curate"]["artifacts"]["documents"] == runs[1]["stages"]["curate"]["artifacts"]["documents"]


def job(folder, paths, dedupers=None):
    dedupers = dedupers or {"exact": Exact()}
    parts = {"source": Jsonl(paths=paths), "filter": {}, "deduper": dedupers, "executor": Local(tasks=4, workers=1)}
    return Job(run=folder, out=folder, seed=0, parts=parts, inputs={}, hooks=None)


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / Documents.name).iterdir()}


def stopped(folder, paths, monkeypatch):
    """Curate, and be stopped after the second of four tasks."""
    from modelwright_plugins.executor._tasks import Tasks

    mark = Tasks.mark_rank_as_completed
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def interrupted(self, rank):
            mark(self, rank)
            if rank == 1:
                raise KeyboardInterrupt

        patch.setattr(Tasks, "mark_rank_as_completed", interrupted)
        Curate().run(job(folder, paths))


def test_other_files_than_before_start_it_again(tmp_path, monkeypatch, capsys):
    """A task's share depends on all files: with one more, what the others have done would be of other files."""
    corpus(tmp_path / "texts", 6, 5)
    paths = [str(tmp_path / "texts" / "*.jsonl")]
    for name in ("stopped", "alone", "same"):
        (tmp_path / name).mkdir()
    stopped(tmp_path / "same", paths, monkeypatch)
    Curate().run(job(tmp_path / "same", paths))
    assert "starts again" not in capsys.readouterr().out
    stopped(tmp_path / "stopped", paths, monkeypatch)
    (tmp_path / "texts" / "00a.jsonl").write_text((tmp_path / "texts" / "03.jsonl").read_text() + '{"text": "One more.", "id": "x"}\n')
    Curate().run(job(tmp_path / "stopped", paths))
    assert "starts again" in capsys.readouterr().out
    Curate().run(job(tmp_path / "alone", paths))
    assert contents(tmp_path / "stopped") == contents(tmp_path / "alone") != contents(tmp_path / "same")


def test_one_that_was_ended_while_it_tidied_up_is_finished(tmp_path, monkeypatch):
    corpus(tmp_path / "texts", 6, 5)
    paths = [str(tmp_path / "texts")]
    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def ended(path):
            (path / "counts" / "00_00000.json").unlink()
            raise KeyboardInterrupt

        patch.setattr("shutil.rmtree", ended)
        Curate().run(job(tmp_path / "out", paths))
    before = contents(tmp_path / "out")
    Curate().run(job(tmp_path / "out", paths))
    assert contents(tmp_path / "out") == before and not (tmp_path / "out" / "work").exists()


def test_one_that_was_killed_while_it_emptied_the_folder_empties_the_rest(tmp_path, monkeypatch):
    """Files changed, and back: half a folder that says it is of the files as they are would be gone on from."""
    corpus(tmp_path / "texts", 6, 5)
    paths, file = [str(tmp_path / "texts")], tmp_path / "texts" / "05.jsonl"
    for name in ("out", "alone"):
        (tmp_path / name).mkdir()
    stopped(tmp_path / "out", paths, monkeypatch)
    before, stamp = file.read_bytes(), file.stat()
    file.write_bytes(before + b"\n")
    order = sorted((tmp_path / "out").iterdir(), key=lambda path: path.name == "logs")  # its mark comes last
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def killed(path):
            (path / "counts" / "00_00000.json").unlink()
            raise KeyboardInterrupt

        patch.setattr(Path, "iterdir", lambda self: iter([path for path in order if path.name == "work"]))
        patch.setattr("shutil.rmtree", killed)
        begin(job(tmp_path / "out", paths))
    file.write_bytes(before)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for name in ("out", "alone"):
        Curate().run(job(tmp_path / name, paths))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_what_was_between_passes_goes_when_the_next_is_done_and_is_not_needed_again(tmp_path, monkeypatch):
    corpus(tmp_path / "texts", 6, 5)
    paths, there, matched = [str(tmp_path / "texts")], [], Local.run
    three = {"one": Exact(), "two": Exact(), "three": Exact()}
    for name in ("out", "alone"):
        (tmp_path / name).mkdir()

    def watched(self, steps, *, logs, **rest):
        matched(self, steps, logs=logs, **rest)
        if logs.name.startswith("match"):
            there.append(sorted(path.name for path in (tmp_path / "out/work").iterdir() if path.name[:4] in ("pass", "sign")))
            if len(there) in (2, 3):
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Local, "run", watched)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                Curate().run(job(tmp_path / "out", paths, three))
    assert there[:2] == [["pass_0", "signatures_0"], ["pass_1", "signatures_1"]]
    for name in ("out", "alone"):
        Curate().run(job(tmp_path / name, paths, three))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_jobs_of_an_earlier_attempt_end_before_its_files_go(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("One.")
    (earlier := tmp_path / "out/logs/pass_0/slurm").mkdir(parents=True)
    (earlier / "jobs.txt").write_text("7\n8\n")
    (mark := tmp_path / "out/logs/begun.json").write_text("{}")
    looks, said = ["7|0|COMPLETING|None\n", ""], []

    def answer(*words):
        said.append((*words[:3], mark.exists() and (earlier / "jobs.txt").exists()))
        return subprocess.CompletedProcess(words, 0, looks.pop(0) if words[0] == "squeue" else "", "")

    monkeypatch.setattr("modelwright_plugins.executor._slurm._slurm", answer)
    there = job(tmp_path / "out", [])
    there.parts.update(source=Text(paths=[str(tmp_path / "a.txt")]), executor=Slurm())
    begin(there)
    assert said[0] == ("scancel", "7", "8", True) and len(said) == 3 and not looks and said[2][3]
    assert [path.name for path in (tmp_path / "out/logs").iterdir()] == ["begun.json"]
