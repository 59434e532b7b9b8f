"""Run a function of a test module on several ranks: one fresh process imports everything once, then forks the ranks."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def on_ranks(function: Any, count: int, folder: Path, *, groups: int, **arguments: Any) -> list[Any]:
    """What `function(rank=…, **arguments)` returned on each of `count` ranks, which join `groups` process groups in turn.

    Arguments are JSON, and the function's module a file."""
    file = sys.modules[function.__module__].__file__
    folder.mkdir(parents=True, exist_ok=True)
    call = {"file": file, "function": function.__name__, "count": count, "folder": str(folder), "groups": groups, "arguments": arguments}
    environment = {k: v for k, v in os.environ.items() if k not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}} | {"OMP_NUM_THREADS": "1"}
    errors = folder / "errors.txt"
    with errors.open("w") as log:
        ranks = subprocess.Popen([sys.executable, __file__, json.dumps(call)], env=environment, stderr=log, start_new_session=True)
        try:
            status = ranks.wait(timeout=300)
        finally:
            if ranks.poll() is None:  # ranks that wait for each other wait for ever
                os.killpg(ranks.pid, signal.SIGKILL)
    assert status == 0, errors.read_text()[-6000:]
    return [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(count)]


def joined(rank: int, count: int, group: int) -> None:
    """Tell this rank what a launcher would; `group` numbers the process groups that it joins one after another."""
    port = os.environ["PORTS"].split()[group]
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}


def _main(call: dict[str, Any]) -> int:
    sys.path.insert(0, str(Path(call["file"]).parent))
    spec = importlib.util.spec_from_file_location("under_test", call["file"])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["under_test"] = module
    spec.loader.exec_module(module)
    function = getattr(module, call["function"])
    import torch.distributed as dist

    import modelwright_plugins.engine.loop
    import modelwright_plugins.engine.model
    import modelwright_plugins.engine.optimizer  # noqa: F401

    # as torchrun's agent keeps one; all listen before any rank could take their ports for its connections
    stores = [dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False) for _ in range(call["groups"])]
    ports = " ".join(str(store.port) for store in stores)
    os.environ |= {"MASTER_ADDR": "localhost", "PORTS": ports, "TORCHELASTIC_USE_AGENT_STORE": "True"}
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
