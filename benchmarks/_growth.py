"""Whether memory stays flat and time grows with the input: the whole `curate` stage, and MinHash alone, at 1, 4 and 16 times the text.

`python benchmarks/_growth.py WORK FOLDER` is one run, and with `measured` at the end one in processes of its own that
prints what it used. A process's greatest memory is at least what its parent had when it was made, so a small one starts it."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from _table import Row

TIMES = (1, 4, 16)
FLAT = 1.15  # of the largest process's memory, from 1 time to 16 times
LINEAR = 1.15  # of the processor time a byte, from 4 times to 16 times; at 1 time starting is most of it
SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER: grandchildren whose parent has ended are waited for here, and so are measured


def rows(some: list[str]) -> list[Row]:
    """The largest resident memory of any one process, and seconds of processor time of all together."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        megabytes = {times: _written(some[: len(some) * times // TIMES[-1]], Path(name) / str(times)) for times in TIMES}
        for what in WORK:
            used = {}
            for times in TIMES:
                command = [sys.executable, __file__, what, f"{name}/{times}", "measured"]
                used[times] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for times, (memory, cpu, wall) in used.items():
                print(f"  {what}, {megabytes[times]:.1f} MB: {memory:.0f} MB of memory, {cpu:.1f} s of processor time, {wall:.1f} s")
            memory = used[TIMES[-1]][0] / used[TIMES[0]][0]
            a, b = TIMES[-2:]
            cpu = (used[b][1] / megabytes[b]) / (used[a][1] / megabytes[a])
            grown = "/".join(f"{used[times][0]:.0f}" for times in TIMES)
            spent = "/".join(f"{used[times][1]:.1f}" for times in TIMES)
            bar = f"flat: x {memory:.2f} <= {FLAT}; linear: x {cpu:.2f} a byte <= {LINEAR}"
            work = f"{what} at 1/4/16 x {megabytes[1]:.1f} MB"
            found.append(Row(work, f"{grown} MB", "", f"{spent} s", bar, memory <= FLAT and cpu <= LINEAR))
    return found


def _written(some: list[str], folder: Path) -> float:
    """Files of 64 documents."""
    folder.mkdir()
    for number in range(0, len(some), 64):
        lines = [json.dumps({"text": text, "metadata": {"group": str(number)}}) + "\n" for text in some[number : number + 64]]
        (folder / f"{number:08d}.jsonl").write_text("".join(lines))
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in some) / 1e6


def _measured(what: str, folder: Path) -> tuple[float, float, float]:
    """10^6 bytes of the largest process, seconds of processor time, seconds."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    begin = time.perf_counter()
    command = [sys.executable, __file__, what, str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = cpu = wall = 0.0
    while True:
        try:
            ended, status, used = os.wait4(-1, 0)
        except ChildProcessError:  # all have ended
            return memory, cpu, wall
        if ended == child.pid:
            child.returncode = status  # so that Popen doesn't wait for it
            wall = time.perf_counter() - begin
            if status:
                raise RuntimeError(f"{command}: exit status {status}")
        memory = max(memory, used.ru_maxrss * 1024 / 1e6)
        cpu += used.ru_utime + used.ru_stime


def curate(mode: Literal["exact", "fast"], folder: Path, out: Path) -> None:
    """Filters as the quickstart has them for code, exact duplicates and near ones."""
    from modelwright.component import Job
    from modelwright_plugins.deduper.exact import Exact
    from modelwright_plugins.deduper.minhash import MinHash
    from modelwright_plugins.executor.local import Local
    from modelwright_plugins.filter.c4 import C4Quality
    from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition
    from modelwright_plugins.source.jsonl import Jsonl
    from modelwright_plugins.stage.curate import Curate

    named = {
        "gopher_quality": GopherQuality(min_words=30, max_mean_word_length=12.0, min_alphabetic_words=0.35, min_stop_words=1, mode=mode),
        "gopher_repetition": GopherRepetition(mode=mode),
        "c4_quality": C4Quality(edit=False, drop_curly_bracket=False, min_sentences=3, mode=mode),
    }
    parts = {
        "source": Jsonl(paths=[str(folder)]),
        "filter": named,
        "deduper": {"exact": Exact(), "minhash": MinHash()},
        "executor": Local(),
    }
    job = Job(run=out, out=out, seed=0, parts=parts, inputs={}, hooks=None)  # type: ignore[arg-type]
    Curate(held_out=0.0).run(job)


def minhash(folder: Path, out: Path) -> None:
    """Its three steps, over documents that are read as they are wanted."""
    import orjson
    from datatrove.data import Document

    from modelwright_plugins.deduper._steps import Match, Remove, Sign
    from modelwright_plugins.deduper.minhash import MinHash

    def read() -> Iterator[Document]:
        for file in sorted(folder.iterdir()):
            with file.open("rb") as lines:
                for line in lines:
                    yield Document(text=orjson.loads(line)["text"], id="")

    deduper = MinHash()
    for _ in Sign(deduper, out).run(read()):
        pass
    Match(deduper, out).run()
    for _ in Remove(deduper, out).run(read()):
        pass


WORK = {"curate, mode=exact": partial(curate, "exact"), "curate, mode=fast": partial(curate, "fast"), "MinHash alone": minhash}

if __name__ == "__main__":
    if sys.argv[3:]:
        print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]))))
        sys.exit()
    with tempfile.TemporaryDirectory() as name:
        WORK[sys.argv[1]](Path(sys.argv[2]), Path(name))
