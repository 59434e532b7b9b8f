"""The tensors of a checkpoint's step, read a layer at a time and without a model, whatever layout they were saved from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.safe_load import SafeReader


class SavedTensors:
    """By their global names; of layers and experts of one kind there is one, [layers, experts, ...]."""

    def __init__(self, step: Path) -> None:
        self.step, self._reader = step, SafeReader(step)
        self._reader.set_up_storage_reader(self._reader.index, True)
        told = self._reader.index.state_dict_metadata
        self.told: dict[str, TensorStorageMetadata] = {n: t for n, t in told.items() if isinstance(t, TensorStorageMetadata)}

    def read(self, name: str, at: tuple[int, ...]) -> torch.Tensor:
        """The tensor at `at` of its first axes. What is in memory is this and one part of a rank's at a time."""
        about = self.told[name]
        rest = about.size[len(at) :]
        chunk = ChunkStorageMetadata(torch.Size((*at, *(0 for _ in rest))), torch.Size((*(1 for _ in at), *rest)))
        whole = torch.empty(chunk.sizes, dtype=about.properties.dtype)
        items = create_read_items_for_chunk_list(name, about, [chunk])
        if sum(item.lengths.numel() for item in items) != whole.numel():
            raise ModelwrightError(f"{self.step} has only parts of {name}")
        self._reader.read_data(LoadPlan(items), _Into(whole))
        return whole.view(rest)


class _Into:
    """What torch's reader asks where to put what it has read."""

    def __init__(self, whole: torch.Tensor) -> None:
        self.whole = whole

    def resolve_tensor(self, item: Any) -> torch.Tensor:
        offsets = zip(item.dest_offsets, item.lengths, strict=True)
        return self.whole[tuple(slice(first, first + count) for first, count in offsets)]

    def commit_tensor(self, item: Any, tensor: torch.Tensor) -> None:
        pass
