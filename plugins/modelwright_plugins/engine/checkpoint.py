"""Checkpoints: saved atomically, torn ones skipped, loaded into any layout.

A checkpoint folder holds `step_00000200/` (Megatron's `torch_dist` format: tensors by their global names), `latest.json`
with {"step": 200}, and `model.json`. A step is written as `step_00000200.tmp`, with `sizes.json` (the size of each
file) last, made durable, then renamed; `latest.json` is replaced after that.

Nothing in a checkpoint is ever run: what torch and Megatron would unpickle freely is read by `safe_pickle`.
"""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.mapping import ShardedBase, ShardedTensor
from megatron.core.dist_checkpointing.strategies import common as common_strategies
from megatron.core.dist_checkpointing.strategies import torch as strategies
from megatron.core.optimizer.optimizer import MegatronOptimizer
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import safe_pickle
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
        named = [int(json.loads((folder / "latest.json").read_text())["step"])]
    except (OSError, ValueError, KeyError, TypeError):
        named = []
    # a step is whole before latest.json names it, so a later one than it names is as good
    for step in sorted({*found, *named}, reverse=True):
        if (why := damage(step_folder(folder, step))) is None:
            return step
        warnings.warn(f"{step_folder(folder, step)} is skipped: {why}", stacklevel=2)
    return None


def load(folder: Path, step: int, chunks: list[MegatronModule], optimizer: MegatronOptimizer | None) -> None:
    """Load weights, and the optimizer's state if one is given, into this layout, whichever they were saved from."""
    template = _state(chunks, optimizer, loading=True)
    try:
        state = dist_checkpointing.load(template, str(step_folder(folder, step)), SafeLoad(), SafeCommonLoad())
    except (Exception, torch_checkpoint.CheckpointException) as e:
        if isinstance(e, torch_checkpoint.CheckpointException):  # what each rank raised
            for each, _ in e.failures.values():
                if isinstance(each, ModelwrightError):
                    raise each from e
        if optimizer is not None and "optimizer.state" in str(e):
            why = f"holds the state of another optimizer; to start from its weights alone: train.init_from={folder}"
            raise ModelwrightError(f"{step_folder(folder, step)} {why}") from e
        raise
    for name, chunk in _named(chunks):
        chunk.load_state_dict(_without_code(state[name], step_folder(folder, step)))
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
        sizes: dict[str, int] = dict(json.loads((step / "sizes.json").read_text()))
    except (OSError, ValueError, TypeError) as e:
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


class SafeLoad(strategies.TorchDistLoadShardedStrategy):
    """As Megatron's, which unpickles the index and each object freely, with readers that don't."""

    def load(self, sharded_state_dict: Any, checkpoint_dir: Path) -> Any:
        renamed, places, names = strategies._replace_state_dict_keys_with_sharded_keys(sharded_state_dict)
        wanted = strategies.mcore_to_pyt_state_dict(renamed, True)
        tensors = [part for parts in renamed.values() for part in parts if isinstance(part, ShardedTensor)]
        torch_checkpoint.load(
            wanted,
            storage_reader=SafeReader(Path(checkpoint_dir)),
            planner=SafePlanner(
                shapes_validation_sharded_tensors=[part for part in tensors if not part.allow_shape_mismatch],
                allow_shape_mismatch_sharded_tensors={part.key: part for part in tensors if part.allow_shape_mismatch},
            ),
        )
        found = {name: strategies._unwrap_pyt_sharded_tensor(value) for name, value in wanted.items()}
        found = strategies._replace_sharded_keys_with_state_dict_keys(found, places, names)
        strategies._restore_dict_types(found, sharded_state_dict)
        return found


class SafeCommonLoad(common_strategies.TorchCommonLoadStrategy):
    """As Megatron's, whatever TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD says."""

    def load_common(self, checkpoint_dir: Path | str) -> Any:
        file = Path(checkpoint_dir) / common_strategies.COMMON_STATE_FNAME
        if not isinstance(found := safe_pickle.weights(file, file), dict):
            raise ModelwrightError(f"{file} holds no settings of a checkpoint, but a {type(found).__name__}")
        return found


class SafeReader(torch_checkpoint.FileSystemReader):
    """Reads the index (`.metadata`) and the shards (`.distcp`) of a checkpoint, and nothing outside of its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        file = folder / ".metadata"
        self.index = safe_pickle.read(file.read_bytes(), file, safe_pickle.INDEX)
        self.shard = ""  # the file that is being read
        if not isinstance(self.index, torch_checkpoint.Metadata) or not isinstance(self.index.storage_data, dict):
            raise ModelwrightError(f"{file} is not the index of a checkpoint, but a {type(self.index).__name__}")
        for place in self.index.storage_data.values():
            if Path(place.relative_path).name != place.relative_path:
                raise ModelwrightError(f"{file} is refused: it names a file outside of the checkpoint, {place.relative_path}")

    def read_metadata(self, *args: Any, **kwargs: Any) -> torch_checkpoint.Metadata:
        self.index.storage_meta = torch_checkpoint.metadata.StorageMeta(load_id=self.load_id)
        return self.index

    def _slice_file(self, file: Any, sinfo: Any) -> Any:
        self.shard = sinfo.relative_path
        return super()._slice_file(file, sinfo)

    def read_data(self, plan: Any, planner: Any) -> Any:
        try:
            return super().read_data(plan, planner)
        except (pickle.UnpicklingError, EOFError) as e:
            raise safe_pickle.refused(e, Path(self.path) / self.shard) from e


class SafePlanner(strategies.MCoreLoadPlanner):
    """Objects that are not tensors come in as tensors do."""

    def load_bytes(self, read_item: Any, value: io.BytesIO) -> None:
        plain = io.BytesIO()
        torch.save(torch.load(value, map_location="cpu", weights_only=True), plain)  # what follows loads it freely
        plain.seek(0)
        super().load_bytes(read_item, plain)


def _without_code(state: dict[str, Any], where: Path) -> dict[str, Any]:
    """The weights of a chunk; what a module would unpickle itself (Transformer Engine its FP8 scales) is read here first."""
    extra = {name for name in state if name.endswith("_extra_state")}
    for name in extra:
        value = state[name]
        if isinstance(value, torch.Tensor) and value.numel():
            state[name] = safe_pickle.sanitized(value, f"{where}: {name}")
        elif isinstance(value, io.BytesIO):
            raise ModelwrightError(f"{where}: {name} is refused: Transformer Engine before 2.0 wrote it, as a pickle")
    return state


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
