"""Launch: a stage on ranks. Hydra composed once; each rank is a fresh process that reads the frozen config of the run.

Alone, Modelwright starts all ranks itself. Started on every rank by torchrun or Slurm it joins: rank 0 leads the run and tells
the others which stage is next; each starts its own rank of it. `docs/decisions/launch.md` says why not elastic_launch.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from modelwright.errors import ModelwrightError, disk_error

PATIENCE = 3.0  # seconds that the other ranks get to write down their own errors after one has failed
LOGS = "logs"


class RankFailure(Exception):
    """A rank failed; the message names the first one, `traceback` is its own."""

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


def world() -> tuple[int, int] | None:
    """(rank, ranks) when torchrun or Slurm started us on every rank; None when we are alone."""
    for rank, ranks in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in os.environ and ranks in os.environ and (rank == "RANK" or int(os.environ[ranks]) > 1):
            return int(os.environ[rank]), int(os.environ[ranks])
    return None


def run_ranks(run: Path, stage: str, ranks: int) -> Mapping[str, float]:
    """Run one stage of a run on `ranks` ranks, and return what rank 0 returned. Called where the run is led."""
    joined = world()
    if joined and joined[1] != ranks:
        raise ModelwrightError(
            f"stage {stage!r} needs {ranks} ranks, and {joined[1]} were started; set parallel.* to {joined[1]}, or start {ranks}"
        )
    for old in (run / LOGS).glob(f"{stage}.rank*.error.json"):
        old.unlink()
    port = _free_port()
    if joined:
        _Board().post({"run": str(run), "stage": stage, "port": port})
    _supervise(run, stage, [0] if joined else range(ranks), ranks, port)
    found = json.loads((run / LOGS / f"{stage}.results.json").read_text())
    assert isinstance(found, dict)
    return found


def lead(work: Callable[[], Any]) -> Any:
    """Under torchrun or Slurm: rank 0 does `work`, the others follow its stages until it ends. Alone: just `work`."""
    joined = world()
    if not joined:
        return work()
    board = _Board()
    if joined[0] == 0:
        try:
            return work()
        finally:
            board.post({"end": True})
    while "end" not in (said := board.read()):
        _supervise(Path(said["run"]), said["stage"], [joined[0]], joined[1], said["port"])
    return None


class _Board:
    """What rank 0 tells the other processes of a joined job, through the store that torchrun or Slurm's variables lead to."""

    _store: Any = None
    _count = 0

    def __init__(self) -> None:
        if _Board._store is None:
            import torch.distributed as dist

            found = world()
            assert found
            os.environ.setdefault("RANK", str(found[0]))
            os.environ.setdefault("WORLD_SIZE", str(found[1]))
            os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
            os.environ.setdefault("MASTER_ADDR", os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
            os.environ.setdefault("MASTER_PORT", str(20000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20000))
            _Board._store = next(iter(dist.rendezvous("env://")))[0]

    def post(self, what: dict[str, Any]) -> None:
        _Board._store.set(f"modelwright/{_Board._count}", json.dumps(what))
        _Board._count += 1

    def read(self) -> dict[str, Any]:
        from datetime import timedelta

        key = f"modelwright/{_Board._count}"
        _Board._store.wait([key], timedelta(days=365))
        _Board._count += 1
        found = json.loads(_Board._store.get(key))
        assert isinstance(found, dict)
        return found


def _supervise(run: Path, stage: str, mine: Iterable[int], ranks: int, port: int) -> None:
    """Start these ranks and wait for them; when one fails, stop the others and raise RankFailure about the first that failed."""
    (run / LOGS).mkdir(exist_ok=True)
    started: dict[int, subprocess.Popen[bytes]] = {}
    dead: dict[int, int] = {}
    try:
        for rank in mine:
            local = os.environ.get("LOCAL_RANK", "0") if world() else str(rank)
            given = {
                "RANK": str(rank),
                "WORLD_SIZE": str(ranks),
                "LOCAL_RANK": local,
                "MASTER_PORT": str(port),
                "TORCHELASTIC_USE_AGENT_STORE": "False",
            }
            env = {"OMP_NUM_THREADS": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "1", "MASTER_ADDR": "127.0.0.1", **os.environ, **given}
            with (run / LOGS / f"{stage}.rank{rank}.log").open("ab") as log:
                out = {} if rank == 0 else {"stdout": log, "stderr": subprocess.STDOUT}
                command = [sys.executable, "-u", "-m", "modelwright.launch", str(run), stage]
                started[rank] = subprocess.Popen(command, env=env, start_new_session=True, stdin=subprocess.DEVNULL, **out)  # type: ignore[call-overload]
        while len(dead) < len(started) and not any(dead.values()):
            time.sleep(0.05)
            dead |= {r: code for r, p in started.items() if (code := p.poll()) is not None}
    except BaseException:
        _stop(started)
        raise
    if any(dead.values()):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(p.poll() is None for p in started.values()):
            time.sleep(0.05)
        _stop(started)
        raise _first_failure(run, stage, {r: code for r, code in dead.items() if code})


def _stop(started: Mapping[int, subprocess.Popen[bytes]]) -> None:
    """End every rank and whatever it started (checkpoint writers outlive their parent otherwise)."""
    for sign, wait in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for process in started.values():
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and any(p.poll() is None for p in started.values()):
            time.sleep(0.05)


def _first_failure(run: Path, stage: str, dead: Mapping[int, int]) -> Exception:
    """The failure to tell: a rank that was killed says nothing itself; otherwise the one that noted its error first."""
    for rank, code in sorted(dead.items()):
        if code < 0:
            name = signal.Signals(-code).name
            why = " (out of memory?)" if name == "SIGKILL" else ""
            return RankFailure(
                f"rank {rank} of stage {stage!r} was killed by {name}{why}; its log: {run / LOGS / f'{stage}.rank{rank}.log'}", ""
            )
    notes = [json.loads(f.read_text()) for f in (run / LOGS).glob(f"{stage}.rank*.error.json")]
    if not notes:
        rank, code = min(dead.items())
        return RankFailure(
            f"rank {rank} of stage {stage!r} ended with exit code {code}; its log: {run / LOGS / f'{stage}.rank{rank}.log'}", ""
        )
    first = min(notes, key=lambda n: n["time"])
    if first["ours"]:
        return ModelwrightError(first["error"])
    log = run / LOGS / f"{stage}.rank{first['rank']}.log"
    return RankFailure(
        f"rank {first['rank']} of stage {stage!r} failed first: {first['error']}; its traceback is in {log}", first["traceback"]
    )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])


class _Tee:
    """Standard output or error of rank 0: the terminal and the log; a progress bar's redrawn lines stay out of the log."""

    def __init__(self, terminal: IO[str], log: IO[str]) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            self.log.write(text)
        return self.terminal.write(text)

    def flush(self) -> None:
        self.terminal.flush()
        self.log.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


def _quiet(log_path: Path, rank: int) -> None:
    """Send what libraries print, log and warn to the rank's log; on rank 0, what Modelwright prints to the terminal too."""
    log = log_path.open("a", encoding="utf-8", buffering=1)
    if rank == 0:
        for number, name in ((1, "stdout"), (2, "stderr")):
            terminal = os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8", errors="replace")
            os.dup2(log.fileno(), number)
            setattr(sys, name, _Tee(terminal, log))
    logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        ours = category is UserWarning and "modelwright" in filename
        print(f"warning: {message}" if ours else f"{filename}:{lineno}: {category.__name__}: {message}", file=sys.stderr if ours else log)

    warnings.showwarning = show


def be_rank(run: Path, stage: str) -> None:
    """Be one rank of a stage. A failure is noted, with its time, before the process group breaks under the others."""
    from modelwright.assemble import assemble
    from modelwright.hooks import discover
    from modelwright.run import job_of, read_config

    if sys.platform == "linux":  # die with the process that leads the run, even when that is killed
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    rank = int(os.environ["RANK"])
    _quiet(run / LOGS / f"{stage}.rank{rank}.log", rank)
    try:
        config, hooks = read_config(run), discover()
        (bound,) = [b for b in assemble(config, hooks.registry) if b.name == stage]
        results = bound.stage.run(job_of(bound, run, config, hooks))
        if rank == 0:
            (run / LOGS / f"{stage}.results.json").write_text(json.dumps(dict(results or {})))
    except BaseException as e:
        error = disk_error(e) or e
        said = str(error) if isinstance(error, ModelwrightError) else f"{type(error).__name__}: {error}"
        note = {
            "time": time.time(),
            "rank": rank,
            "ours": isinstance(error, ModelwrightError),
            "error": said,
            "traceback": traceback.format_exc(),
        }
        (run / LOGS / f"{stage}.rank{rank}.error.json").write_text(json.dumps(note))
        logging.exception("rank %d failed", rank)
        sys.stdout.flush()
        os._exit(1)  # threads of a broken process group must not keep this rank alive


if __name__ == "__main__":
    be_rank(Path(sys.argv[1]), sys.argv[2])
