"""One rank of a stage, in a process of its own: `python -m modelwright.rank RUN STAGE`, started by `modelwright.launch`."""

import ctypes
import logging
import os
import re
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

from modelwright.assemble import assemble
from modelwright.errors import ModelwrightError, Pruned, disk_error
from modelwright.hooks import discover
from modelwright.launch import LOGS
from modelwright.manifest import write_json
from modelwright.run import job_of, read_config


def be_rank(run: Path, stage: str) -> None:
    """Run the stage. A failure is noted, with its time, before the process group breaks under the other ranks."""
    if sys.platform == "linux":  # die with the process that leads the run, even when that one is killed
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(os.environ.get("MODELWRIGHT_LEADER", os.getppid())):  # it died while this rank was starting
        os._exit(1)
    rank = int(os.environ["RANK"])
    _speak(run / LOGS / f"{stage}.rank{rank}.log", rank)
    try:
        config, hooks = read_config(run), discover()
        (bound,) = [b for b in assemble(config, hooks.registry) if b.name == stage]
        results = bound.stage.run(job_of(bound, run, config, hooks))
        if rank == 0:
            write_json(run / LOGS / f"{stage}.results.json", dict(results or {}))
    except BaseException as e:
        error = disk_error(e) or e
        kind = type(error).__name__ if isinstance(error, (ModelwrightError, Pruned)) else ""
        note = {"time": time.time(), "rank": rank, "kind": kind, "error": str(error) if kind else f"{type(error).__name__}: {error}"}
        try:
            write_json(run / LOGS / f"{stage}.rank{rank}.error.json", note)
            logging.exception("rank %d failed", rank)
            sys.stdout.flush()
        finally:
            os._exit(1)  # threads of a broken process group must not keep this rank alive


class _Tee:
    """Standard output or error of rank 0: the terminal and the log; a progress bar's redrawn lines stay out of the log."""

    def __init__(self, terminal: IO[str], log: IO[str]) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            self.log.write(text)
        return self.terminal.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


def _speak(path: Path, rank: int) -> None:
    """Send what libraries print, log and warn to the rank's log; what Modelwright prints on rank 0, to the terminal too."""
    log = path.open("a", encoding="utf-8", buffering=1)
    if rank == 0:
        for number, name in ((1, "stdout"), (2, "stderr")):
            terminal = os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8", errors="replace")
            os.dup2(log.fileno(), number)
            setattr(sys, name, _Tee(terminal, log))
    logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        ours = category is UserWarning and re.search(r"/modelwright(_plugins)?/(?!.*site-packages/)", filename)
        print(f"warning: {message}" if ours else f"{filename}:{lineno}: {category.__name__}: {message}", file=sys.stderr if ours else log)

    warnings.showwarning = show  # type: ignore[assignment]


if __name__ == "__main__":
    be_rank(Path(sys.argv[1]), sys.argv[2])
