"""Run a function of a test module on several ranks. Importing Megatron takes seconds, so one process does it once for all
tests; it forks a process for each call, which forks the ranks."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import pickle
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE = 300  # seconds for one call


def on_ranks(function: Any, count: int, folder: Path, *, groups: int, **arguments: Any) -> list[Any]:
    """What `function(rank=…, **arguments)` returned on each of `count` ranks, which join `groups` process groups in turn.

    Arguments are JSON, and the function's module a file."""
    file = sys.modules[function.__module__].__file__
    folder.mkdir(parents=True, exist_ok=True)
    call = {
        "file": file, "function": function.__name__, "count": count, "folder": str(folder), "groups": groups, "arguments": arguments,
    }  # fmt: skip
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(call) + "\n")
    server.stdin.flush()
    said = server.stdout.readline() if select.select([server.stdout], [], [], PATIENCE)[0] else ""
    if not said:  # ranks that wait for each other wait for ever
        os.killpg(server.pid, signal.SIGKILL)
        _server.cache_clear()
    errors = folder / "errors.txt"
    assert said.strip() == "0", errors.read_text()[-6000:] if errors.exists() else "the ranks did not start"
    return [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(count)]


def joined(rank: int, count: int, group: int) -> None:
    """Tell this rank what a launcher would; `group` numbers the process groups that it joins one after another."""
    port = os.environ["PORTS"].split()[group]
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}


@functools.cache
def _server() -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}} | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, __file__], env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True)


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

    errors = os.open(Path(call["folder"]) / "errors.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    # as torchrun's agent keeps one; all listen before any rank could take their ports for its connections
    stores = [dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False) for _ in range(call["groups"])]
    ports = " ".join(str(store.port) for store in stores)
    os.environ |= {"MASTER_ADDR": "localhost", "PORTS": ports, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    left = set()
    for rank in range(call["count"]):
        if (child := os.fork()) == 0:
            os._exit(_be_rank(rank, call))
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


def _be_rank(rank: int, call: dict[str, Any]) -> int:
    try:
        sys.path.insert(0, str(Path(call["file"]).parent))
        spec = importlib.util.spec_from_file_location("under_test", call["file"])
        assert spec is not None and spec.loader is not None
        sys.modules["under_test"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = getattr(module, call["function"])(rank=rank, **call["arguments"])
        (Path(call["folder"]) / f"rank{rank}.pickle").write_bytes(pickle.dumps(found))
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


if __name__ == "__main__":
    _serve()
