"""Launch: a stage on ranks. Hydra composed once; each rank is a fresh process (`modelwright.rank`) that reads the frozen config.

Alone, Modelwright starts all ranks. Started on every rank by torchrun or Slurm it joins: rank 0 leads the run and tells the others
which stage is next; each starts its own rank of it (docs/decisions/launch.md).
"""

import contextlib
import functools
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError, Pruned, RankFailure

PATIENCE, LOGS = 3.0, "logs"  # seconds that the other ranks get, after one has failed, to write down their own errors; a folder
_turns = itertools.count()


def world() -> tuple[int, int] | None:
    """(rank, ranks) when torchrun or Slurm started us on every rank; None when we are alone."""
    for rank, ranks in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if rank in os.environ and ranks in os.environ and (rank == "RANK" or int(os.environ[ranks]) > 1):
            return int(os.environ[rank]), int(os.environ[ranks])
    return None


def run_ranks(run: Path, stage: str, ranks: int) -> Mapping[str, float]:
    """Run one stage of a run on `ranks` ranks, and return what rank 0 returned. Called where the run is led."""
    joined = world()
    if joined and joined[1] != ranks:
        raise ModelwrightError(f"stage {stage!r} needs {ranks} ranks, and {joined[1]} were started; set parallel.*, or start {ranks}")
    for old in (run / LOGS).glob(f"{stage}.rank*.error.json"):
        old.unlink()
    for port in (20_000 + (7 * os.getpid() + n) % 12_000 for n in range(12_000)):  # below those that connections take by themselves
        with socket.socket() as free:
            if free.connect_ex(("localhost", port)):  # nobody is there
                break
    if joined:
        _post({"run": str(run), "stage": stage, "port": port})
    _supervise(run, stage, [0] if joined else range(ranks), ranks, port)
    return dict(json.loads((run / LOGS / f"{stage}.results.json").read_text()))


def lead(work: Callable[[], Any]) -> Any:
    """Under torchrun or Slurm: rank 0 does `work`, the others follow its stages until it ends. Alone: just `work`."""
    if not (joined := world()):
        return work()
    if joined[0] == 0:
        try:
            return work()
        finally:
            _post({})
            deadline = time.monotonic() + 30  # the store ends with this process: let the others read it first
            while _store().add("modelwright/left", 0) < joined[1] - 1 and time.monotonic() < deadline:
                time.sleep(0.05)
    try:
        while said := json.loads(_next()):
            _supervise(Path(said["run"]), said["stage"], [joined[0]], joined[1], said["port"])
    finally:
        _store().add("modelwright/left", 1)
    return None


@functools.cache
def _store() -> Any:
    """The store that torchrun's or Slurm's variables lead to: there rank 0 tells the other processes of a joined job what is next."""
    from torch.distributed.rendezvous import rendezvous

    for ours, theirs in {"RANK": "PROCID", "WORLD_SIZE": "STEP_NUM_TASKS", "LOCAL_RANK": "LOCALID"}.items():
        os.environ.setdefault(ours, os.environ.get(f"SLURM_{theirs}", "0"))
    nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")  # a, b or n[01-04,7]: rank 0 is on the first
    os.environ.setdefault("MASTER_ADDR", re.sub(r"\[(\d+).*", r"\1", nodes).split(",")[0])
    os.environ.setdefault("MASTER_PORT", str(20000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20000))
    return next(iter(rendezvous("env://")))[0]


def _post(what: dict[str, Any]) -> None:
    _store().set(f"modelwright/{next(_turns)}", json.dumps(what))


def _next() -> Any:
    _store().wait([key := f"modelwright/{next(_turns)}"], timedelta(days=365))
    return _store().get(key)


def _supervise(run: Path, stage: str, mine: Iterable[int], ranks: int, port: int) -> None:
    """Start these ranks and wait for them; when one fails, stop the others and raise about the first that failed."""
    started: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for rank in mine:
            started[rank] = _start(run, stage, rank, ranks, port)
        while None in (ended := [p.poll() for p in started.values()]) and not any(ended):
            time.sleep(0.05)
    except BaseException:
        _stop(started)
        raise
    if any(ended):
        _wait(started, PATIENCE)
        dead = {rank: code for rank, p in started.items() if (code := p.poll())}
        _stop(started)
        raise _first_failure(run / LOGS, stage, dead)


def _start(run: Path, stage: str, rank: int, ranks: int, port: int) -> subprocess.Popen[bytes]:
    local = os.environ.get("LOCAL_RANK", "0") if world() else str(rank)
    ours = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": local, "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": False}
    ours["MODELWRIGHT_LEADER"] = os.getpid()  # `modelwright.rank` looks whether it still is there
    defaults = {"OMP_NUM_THREADS": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "1", "MASTER_ADDR": "127.0.0.1"}
    with (run / LOGS / f"{stage}.rank{rank}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "modelwright.rank", str(run), stage],
            env={**defaults, **os.environ, **{key: str(value) for key, value in ours.items()}},
            stdin=subprocess.DEVNULL,
            stdout=None if rank == 0 else log,  # rank 0 speaks on the terminal
            stderr=None if rank == 0 else log,
            start_new_session=True,
        )


def _wait(started: Mapping[int, subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(p.poll() is None for p in started.values()):
        time.sleep(0.05)


def _stop(started: Mapping[int, subprocess.Popen[bytes]]) -> None:
    """End every rank and whatever it started (checkpoint writers outlive their parent otherwise)."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in started.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        _wait(started, 5.0)


def _first_failure(logs: Path, stage: str, dead: Mapping[int, int]) -> Exception:
    """The failure to tell: a rank that was killed says nothing itself; otherwise the one that noted its error first."""
    notes = [json.loads(file.read_text()) for file in logs.glob(f"{stage}.rank*.error.json") if file.stat().st_size]
    rank, code = min(dead.items(), key=lambda item: (item[1] >= 0, item[0]))
    if code < 0:
        why = f"was killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    elif not notes:
        why = f"ended with exit code {code}"
    else:
        first = min(notes, key=lambda note: note["time"])
        if first["kind"]:
            return Pruned(first["error"]) if first["kind"] == "Pruned" else ModelwrightError(first["error"])
        rank, why = first["rank"], f"failed first: {first['error']}"
    return RankFailure(f"rank {rank} of stage {stage!r} {why}; its log, with any traceback: {logs / f'{stage}.rank{rank}.log'}")
