"""Run a function on several ranks of this machine. Importing Megatron takes seconds, so one process does it once for all calls; it
forks a process for each call, which forks the ranks."""

from __future__ import annotations

import functools
import json
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwright_plugins.conformance.process import environment

PATIENCE = 300  # seconds for one call


def on_ranks(function: Callable[..., Any], count: int, folder: Path, *, groups: int = 1, gpu: bool = False, **arguments: Any) -> list[Any]:
    """What a module's `function(rank=…, **arguments)` returned on each of `count` ranks, which join `groups` process groups in turn.

    They are on the CPU, or with `gpu` on this machine's GPUs if it has any.
    RuntimeError: a rank failed, or they waited for each other too long; it has the traceback as a note.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "call.pickle").write_bytes(pickle.dumps((function, arguments)))
    server = _server(gpu and Path("/dev/nvidiactl").exists())
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps({"path": sys.path, "count": count, "folder": str(folder.absolute()), "groups": groups}) + "\n")
    server.stdin.flush()
    said = server.stdout.readline() if select.select([server.stdout], [], [], PATIENCE)[0] else ""
    if not said:
        os.killpg(server.pid, signal.SIGKILL)
        _server.cache_clear()
    if said.strip() != "0":
        told = (folder / "errors.txt").read_text() if (folder / "errors.txt").exists() else ""
        last = (folder / "failed.txt").read_text() if (folder / "failed.txt").exists() else "the ranks never came to an end"
        error = RuntimeError(last)
        error.add_note(told[-6000:])
        raise error
    return [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(count)]


def joined(rank: int, count: int, group: int = 0) -> None:
    """Tell this rank what a launcher would; `group` numbers the process groups that it joins one after another."""
    port = os.environ["PORTS"].split()[group]
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}


@functools.cache
def _server(gpu: bool) -> subprocess.Popen[str]:
    hidden = {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}  # two ranks can't share one GPU
    pipe = subprocess.PIPE
    words = [sys.executable, "-m", __name__]
    return subprocess.Popen(words, env=environment() | hidden, stdin=pipe, stdout=pipe, text=True, start_new_session=True)


def _serve() -> None:
    import modelwright_plugins.engine.forecast
    import modelwright_plugins.engine.inference
    import modelwright_plugins.engine.loop  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            os._exit(_call(json.loads(line)))
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()


def _call(call: dict[str, Any]) -> int:
    import torch.distributed as dist

    folder = Path(call["folder"])
    errors = os.open(folder / "errors.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    sys.path[:] = call["path"]
    # as torchrun's agent keeps one; all listen before any rank could take their ports for its connections
    stores = [dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False) for _ in range(call["groups"])]
    ports = " ".join(str(store.port) for store in stores)
    os.environ |= {"MASTER_ADDR": "localhost", "PORTS": ports, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    left = set()
    for rank in range(call["count"]):
        if (child := os.fork()) == 0:
            os._exit(_be_rank(rank, folder))
        left.add(child)
    failed = 0
    while left:
        child, status = os.wait()
        left.discard(child)
        if status and not failed:  # the others wait for it
            failed = 1
            for other in left:
                os.kill(other, signal.SIGKILL)
    return failed


def _be_rank(rank: int, folder: Path) -> int:
    try:
        function, arguments = pickle.loads((folder / "call.pickle").read_bytes())
        found = function(rank=rank, **arguments)
        (folder / f"rank{rank}.pickle").write_bytes(pickle.dumps(found))
    except BaseException as e:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        if not (folder / "failed.txt").exists():
            (folder / "failed.txt").write_text(f"rank {rank}: {type(e).__name__}: {' '.join(str(e).split())}")
        return 1
    return 0


if __name__ == "__main__":
    _serve()
