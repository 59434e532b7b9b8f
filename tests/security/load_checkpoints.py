"""A process that saves a small checkpoint, tries to run code through each of its files, and prints what came of it as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import Metadata

CANARY, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])


class Evil:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {CANARY}",)


def saved(value: Any) -> bytes:
    torch.save(value, data := io.BytesIO())
    return data.getvalue()


def index(step: Path) -> Metadata:
    return pickle.loads((step / ".metadata").read_bytes())


def in_a_shard(step: Path, name: str) -> None:
    """Put the evil where the index says that `name` is."""
    found = index(step)
    place = next(place for key, place in found.storage_data.items() if name in key.fqn)
    data, file = saved(Evil()), step / place.relative_path
    place.offset, place.length = file.stat().st_size, len(data)
    file.write_bytes(file.read_bytes() + data)
    (step / ".metadata").write_bytes(pickle.dumps(found))


def in_the_index(step: Path) -> None:
    found = index(step)
    found.planner_data = {"x": [Evil()]}
    (step / ".metadata").write_bytes(pickle.dumps(found))


def outside(step: Path) -> None:
    found = index(step)
    for place in found.storage_data.values():
        place.relative_path = "../../elsewhere.distcp"
    (step / ".metadata").write_bytes(pickle.dumps(found))


ATTEMPTS: dict[str, Callable[[Path], Any]] = {
    ".metadata": lambda step: (step / ".metadata").write_bytes(pickle.dumps(Evil())),
    ".metadata, old pickle": lambda step: (step / ".metadata").write_bytes(pickle.dumps(Evil(), protocol=0)),
    ".metadata, inside": in_the_index,
    ".metadata, dotted name": lambda step: (step / ".metadata").write_bytes(
        b"\x80\x04\x8c\x05torch\x8c\x12serialization.load\x93\x8c\x01x\x85R."
    ),
    ".metadata, outside": outside,
    ".metadata, no pickle": lambda step: (step / ".metadata").write_bytes(b"hello"),
    ".metadata, other": lambda step: (step / ".metadata").write_bytes(pickle.dumps({"a": 1})),
    "common.pt": lambda step: (step / "common.pt").write_bytes(saved({"updates": Evil()})),
    "common.pt, pickle": lambda step: (step / "common.pt").write_bytes(pickle.dumps(Evil())),
    "common.pt, other": lambda step: (step / "common.pt").write_bytes(saved([1])),
    "distcp, object": lambda step: in_a_shard(step, "_extra_state"),
    "distcp, tensor": lambda step: in_a_shard(step, "word_embeddings.weight"),
}


def main() -> None:
    from megatron.core import dist_checkpointing

    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import checkpoint, model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    layout, architecture, told = Megatron(), CausalDecoder(layers=1, width=16, heads=2, kv_heads=2), {}
    with started(layout, seed=3):
        chunks = model.build(
            architecture, parallel=layout, precision=FP32(), kernel=Torch(), attention=Native(), vocab_size=64, sequence_length=8
        )
        model.initialise(chunks, architecture, seed=3, vocab_size=64)
        checkpoint.save(FOLDER, 1, chunks, None, keep_last=None)  # type: ignore[arg-type]
        whole = FOLDER / "step_00000001"
        before = [p.detach().clone() for p in chunks[0].parameters()]
        with torch.no_grad():
            for p in chunks[0].parameters():
                p.zero_()
        checkpoint.load(FOLDER, 1, chunks, None)
        told["whole"] = {"same": all(torch.equal(a, b) for a, b in zip(before, chunks[0].parameters(), strict=True))}
        for number, (name, attack) in enumerate(ATTEMPTS.items(), 2):
            step = FOLDER / f"step_{number:08d}"
            shutil.copytree(whole, step)
            attack(step)
            try:
                checkpoint.load(FOLDER, number, chunks, None)
                error = "it loads"
            except BaseException as e:
                error = f"{type(e).__name__}: {e}"
            told[name] = {"error": error, "ran": CANARY.exists()}
            os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # which torch heeds, and we don't
            try:
                checkpoint.load(FOLDER, number, chunks, None)
            except BaseException as e:
                told[name] |= {"same": f"{type(e).__name__}: {e}" == error, "ran": CANARY.exists()}
            with contextlib.suppress(BaseException):
                dist_checkpointing.load(checkpoint._state(chunks, None, loading=True), str(step))
            told[name]["would"] = CANARY.exists()
            del os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]
            CANARY.unlink(missing_ok=True)
    print("\n" + json.dumps(told))


if __name__ == "__main__":
    main()
