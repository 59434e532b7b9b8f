"""Run a function of a test module on several ranks: one fresh process imports everything once, then forks the ranks."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def on_ranks(function: Any, count: int, folder: Path, **arguments: Any) -> list[Any]:
    """What `function(rank=…, **arguments)` returned on each of `count` ranks; its arguments are JSON, its module a file."""
    file = sys.modules[function.__module__].__file__
    folder.mkdir(parents=True, exist_ok=True)
    call = {"file": file, "function": function.__name__, "count": count, "folder": str(folder), "arguments": arguments}
    environment = {k: v for k, v in os.environ.items() if k not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, json.dumps(call)], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-6000:]
    return [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(count)]


def joined(rank: int, count: int, port: int) -> None:
    """Tell this process what a launcher would."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _main(call: dict[str, Any]) -> int:
    sys.path.insert(0, str(Path(call["file"]).parent))
    spec = importlib.util.spec_from_file_location("under_test", call["file"])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, call["function"])
    import modelwright_plugins.engine.loop
    import modelwright_plugins.engine.model
    import modelwright_plugins.engine.optimizer  # noqa: F401

    children = []
    for rank in range(call["count"]):
        if (child := os.fork()) == 0:
            status = 1
            try:
                found = function(rank=rank, **call["arguments"])
                (Path(call["folder"]) / f"rank{rank}.pickle").write_bytes(pickle.dumps(found))
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(child)
    failed, left = 0, set(children)
    while left:
        child, status = os.wait()
        left.discard(child)
        if status and not failed:  # the others wait for it
            failed = 1
            for other in left:
                os.kill(other, 9)
    return failed


if __name__ == "__main__":
    sys.exit(_main(json.loads(sys.argv[1])))
