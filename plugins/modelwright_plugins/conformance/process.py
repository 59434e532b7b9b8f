"""Asking a fresh process: one with another hash seed, which has imported nothing yet."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAVY = ("torch", "datatrove", "megatron", "transformers", "transformer_engine", "wandb", "matplotlib", "tokenizers", "spacy")


def elsewhere(function: Callable[..., Any], *arguments: Any, folder: Path) -> Any:
    """What a module's function returns for these arguments in a fresh process that works in `folder`.

    RuntimeError: it raised, with what it said last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    call = folder / "call.pickle"
    call.write_bytes(pickle.dumps((function, arguments)))
    words = [sys.executable, "-m", __name__, str(call)]
    done = subprocess.run(words, env=environment(), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode:
        error = RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        error.add_note(done.stderr)
        raise error
    return pickle.loads(call.read_bytes())


def environment() -> dict[str, str]:
    """For a child: it finds the modules that this process finds, and is nobody's rank."""
    ranks = {"RANK", "WORLD_SIZE", "LOCAL_RANK"}
    path = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    return {k: v for k, v in os.environ.items() if k not in ranks} | {"PYTHONPATH": path, "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}


def heavy_modules() -> list[str]:
    """Which modules that take seconds to import this process has imported."""
    return [name for name in HEAVY if name in sys.modules]


if __name__ == "__main__":
    from modelwright_plugins.conformance import process  # by its name, not as __main__

    asked = Path(sys.argv[1])
    wanted, given = pickle.loads(asked.read_bytes())
    asked.write_bytes(pickle.dumps(wanted(*given)))
    assert process
