"""Checkpoints: saved atomically, torn ones skipped, loaded into any layout.

A checkpoint folder holds `step_00000200/` (Megatron's `torch_dist` format: tensors by their global names), `latest.json`
with {"step": 200}, and `model.json`. A step is written as `step_00000200.tmp`, with `sizes.json` (the size of each
file) last, made durable, then renamed; `latest.json` is replaced after that.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.mapping import ShardedBase
from megatron.core.dist_checkpointing.strategies import torch as strategies
from megatron.core.optimizer.optimizer import MegatronOptimizer
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.optimizer_state import load_state, named_metadata, sharded_state


def save(folder: Path, step: int, chunks: list[MegatronModule], optimizer: MegatronOptimizer, *, keep_last: int | None) -> Path:
    """Write step `step`, on all ranks together; older ones than the last `keep_last` are removed. The folder of the step."""
    done = step_folder(folder, step)
    partial = done.with_name(done.name + ".tmp")
    if dist.get_rank() == 0:
        for left in (partial, done):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    state = _state(chunks, optimizer, step=step)
    try:
        dist_checkpointing.save(state, str(partial), sharded_strategy=InProcessSave("torch_dist", 1))
    except (RuntimeError, torch_checkpoint.CheckpointException) as e:
        if shutil.disk_usage(folder).free < _size(state):  # torch says "unexpected pos" when it can't write
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial)) from e
        raise
    if dist.get_rank() == 0:
        _write(partial / "sizes.json", {p.name: p.stat().st_size for p in sorted(partial.iterdir())})
        for file in partial.iterdir():
            _make_durable(file)
        _make_durable(partial)
        partial.rename(done)
        _make_durable(folder)
        _replace(folder / "latest.json", {"step": step})
        for old in steps(folder)[: -keep_last if keep_last else 0]:
            shutil.rmtree(step_folder(folder, old))
    dist.barrier()
    return done


def latest(folder: Path) -> int | None:
    """The newest whole step, or None if there is none. One that is damaged is skipped with a warning."""
    found = steps(folder)
    try:
        named = [json.loads((folder / "latest.json").read_text())["step"]]
    except (OSError, ValueError, KeyError, TypeError):
        named = []
    # a step is whole before latest.json names it, so a later one than it names is as good
    for step in sorted({*found, *named}, reverse=True):
        if (why := damage(step_folder(folder, step))) is None:
            return int(step)
        warnings.warn(f"{step_folder(folder, step)} is skipped: {why}", stacklevel=2)
    return None


def load(folder: Path, step: int, chunks: list[MegatronModule], optimizer: MegatronOptimizer | None) -> None:
    """Load weights, and the optimizer's state if one is given, into this layout, whichever they were saved from."""
    template = _state(chunks, optimizer, loading=True)
    try:
        state = dist_checkpointing.load(template, str(step_folder(folder, step)))
    except Exception as e:
        if optimizer is not None and "optimizer.state" in str(e):
            why = f"holds the state of another optimizer; to start from its weights alone: train.init_from={folder}"
            raise ModelwrightError(f"{step_folder(folder, step)} {why}") from e
        raise
    for name, chunk in _named(chunks):
        chunk.load_state_dict(state[name])
    if optimizer is not None:
        load_state(optimizer, chunks, state["optimizer"], step=state["updates"])


def step_folder(folder: Path, step: int) -> Path:
    return folder / f"step_{step:08d}"


def steps(folder: Path) -> list[int]:
    """The steps that are there, oldest first, whole or not."""
    return sorted(int(p.name[5:]) for p in folder.glob("step_*") if p.name[5:].isdigit())


def damage(step: Path) -> str | None:
    """Why this step's folder can't be loaded, or None."""
    try:
        sizes: dict[str, int] = json.loads((step / "sizes.json").read_text())
    except (OSError, ValueError) as e:
        return f"sizes.json is not readable ({e.__class__.__name__})"
    for name, size in sizes.items():
        if not (step / name).is_file():
            return f"{name} is missing"
        if (found := (step / name).stat().st_size) != size:
            return f"{name} has {found} bytes, not {size}"
    return None


class InProcessSave(strategies.TorchDistSaveShardedStrategy):
    """Writes from this process. Megatron's own forks writers even for a synchronous save: they hold a copy of the
    memory, outlive a killed rank, and hide why a write failed."""

    def save(self, sharded_state_dict: Any, checkpoint_dir: Path) -> None:
        renamed, _, _ = strategies._replace_state_dict_keys_with_sharded_keys(sharded_state_dict, self.keep_only_main_replica)
        torch_checkpoint.save(
            strategies.mcore_to_pyt_state_dict(renamed, False),
            storage_writer=torch_checkpoint.FileSystemWriter(checkpoint_dir),
            planner=strategies.MCoreSavePlanner(dedup_replicated_tensors=not self.keep_only_main_replica, flatten_state_dict=False),
        )


def _named(chunks: list[MegatronModule]) -> list[tuple[str, MegatronModule]]:
    return [(f"chunk{i}", chunk) for i, chunk in enumerate(chunks)]


def _state(
    chunks: list[MegatronModule], optimizer: MegatronOptimizer | None, *, loading: bool = False, step: int | None = None
) -> dict[str, Any]:
    state: dict[str, Any] = {name: chunk.sharded_state_dict(metadata=named_metadata()) for name, chunk in _named(chunks)}
    if optimizer is not None:
        state["optimizer"] = sharded_state(optimizer, chunks, dict(state), loading=loading)
    if step is not None:
        state["updates"] = step
    return state


def _size(state: Any) -> int:
    """Bytes of the tensors of this rank."""
    if isinstance(state, ShardedBase):
        return state.data.nbytes if state.data is not None else 0
    return sum(_size(each) for each in state.values()) if isinstance(state, dict) else 0


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1))


def _replace(file: Path, value: Any) -> None:
    """Replace a JSON file so that a reader, or a crash, sees the old one or the new one."""
    partial = file.with_name(file.name + ".tmp")
    _write(partial, value)
    _make_durable(partial)
    partial.replace(file)
    _make_durable(file.parent)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
