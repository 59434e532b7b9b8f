"""Megatron's loading of a checkpoint, with readers that run nothing of it: what torch and Megatron would unpickle freely is read by
`safe_pickle`."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core.dist_checkpointing.mapping import ShardedTensor
from megatron.core.dist_checkpointing.strategies import common as common_strategies
from megatron.core.dist_checkpointing.strategies import torch as strategies

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import safe_pickle


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


def without_code(state: dict[str, Any], where: Path) -> dict[str, Any]:
    """The weights of a chunk; what a module would unpickle itself (Transformer Engine its FP8 scales) is read here first."""
    extra = {name for name in state if name.endswith("_extra_state")}
    for name in extra:
        value = state[name]
        if isinstance(value, torch.Tensor) and value.numel():
            state[name] = safe_pickle.sanitized(value, f"{where}: {name}")
        elif isinstance(value, io.BytesIO):
            raise ModelwrightError(f"{where}: {name} is refused: Transformer Engine before 2.0 wrote it, as a pickle")
    return state
