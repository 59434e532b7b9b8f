"""A checkpoint that holds an adapter: `adapter.json` beside `model.json` says which one, and which weights it was trained on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright.registry import Registry
from modelwright.schema import conform
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.engine import checkpoint, heads, quantized_files
from modelwright_plugins.engine.card import Head, ModelCard
from modelwright_plugins.engine.checkpoint_files import FILES
from modelwright_plugins.engine.safe_load import SafeReader

FILE = "adapter.json"


@dataclass(frozen=True)
class AdapterCard:
    """What an adapter's checkpoint needs beside its own weights."""

    adapter: Adapter
    base: Path  # the checkpoint folder of the weights that it was trained on
    step: int  # of that checkpoint
    weights: str  # SHA-256 of what that step's files.json says: of all of its files' sizes and hashes

    @classmethod
    def of(cls, adapter: Adapter, base: Path, step: int) -> AdapterCard:
        return cls(adapter.saved, base.resolve(), step, identity(base, step))

    def write(self, folder: Path, registry: Registry) -> None:
        kind = type(self.adapter)
        target = f"{kind.__module__}:{kind.__qualname__}"
        name = next((e.name for e in registry.entries.values() if e.kind == "adapter" and e.target == target), None)
        if name is None:
            raise ModelwrightError(f"adapter {target} is not registered, so {folder / FILE} could not name it")
        adapter = {"name": name, "fields": dataclasses.asdict(self.adapter)}
        told = {"adapter": adapter, "base": {"path": str(self.base), "step": self.step, "weights": self.weights}}
        (folder / FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, registry: Registry) -> AdapterCard | None:
        """None: the checkpoint holds a whole model. Nothing in the file is imported or run: the adapter is found by its name."""
        try:
            told = json.loads((folder / FILE).read_text(encoding="utf-8"))
            name, fields, base = str(told["adapter"]["name"]), dict(told["adapter"]["fields"]), told["base"]
            where = (Path(base["path"]), int(base["step"]), str(base["weights"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelwrightError(f"{folder / FILE} is not the card of an adapter ({e.__class__.__name__})") from e
        return cls(conform(fields, registry.load("adapter", name), f"{folder / FILE}: adapter"), *where)


def identity(folder: Path, step: int) -> str:
    return hashlib.sha256((checkpoint.step_folder(folder, step) / FILES).read_bytes()).hexdigest()


def load(folder: Path, chunks: list[MegatronModule], registry: Registry, head: Head = "tokens") -> tuple[dict[str, Any], Adapter | None]:
    """The newest whole step's weights, and if these are an adapter's, those that it was trained on below them. The progress saved, and the
    adapter; the modules get this head. ModelwrightError where weights are missing or others."""
    if (step := checkpoint.latest(folder)) is None:
        raise ModelwrightError(f"{folder} holds no whole checkpoint")
    if (card := AdapterCard.read(folder, registry)) is None:
        heads.attach(chunks, head)
        quantized_files.load(folder, chunks, registry)
        return checkpoint.load(folder, step, chunks, None), None
    try:
        same = identity(card.base, card.step) == card.weights
    except OSError as e:
        raise ModelwrightError(
            f"{folder} holds an adapter of {card.base}, which is not there ({e.strerror}); where it is now is said in {FILE}: base.path"
        ) from e
    if not same:
        raise ModelwrightError(f"{folder} holds an adapter of {card.base} at step {card.step}, and the weights there are others now")
    load_base(card.base, card.step, chunks, registry, head)
    card.adapter.apply(chunks, seed=0)
    return checkpoint.load(folder, step, chunks, None), card.adapter


def load_base(folder: Path, step: int, chunks: list[MegatronModule], registry: Registry, head: Head) -> None:
    """A whole model's weights, to train further with this head: a new one where they have another."""
    if ModelCard.read(folder / "model.json", registry).head == head:
        heads.attach(chunks, head)
    checkpoint.load(folder, step, chunks, None)
    heads.attach(chunks, head)


def refuse_adapter(folder: Path) -> None:
    """ModelwrightError if the checkpoint holds an adapter, or quantized layers, where weights to train further are wanted."""
    quantized_files.refuse_quantized(folder)
    if (folder / FILE).is_file():
        raise ModelwrightError(f"{folder} holds an adapter; to train further on it, merge it into its model first (the stage merge)")


def matrices(folder: Path) -> dict[tuple[str, int], dict[str, torch.Tensor]]:
    """The newest whole step's low-rank matrices, whole, without a model: of each layer (its name without linear_) and its number, a
    [rank, inputs], b [outputs, rank], and m [outputs] if there are lengths. ModelwrightError where there are none."""
    if (step := checkpoint.latest(folder)) is None:
        raise ModelwrightError(f"{folder} holds no whole checkpoint")
    reader = SafeReader(checkpoint.step_folder(folder, step))
    pattern = re.compile(r"decoder\.layers\.\w+\.linear_(\w+)\.adapter\.([abm])")
    told = reader.index.state_dict_metadata
    state = {name: torch.empty(told[name].size, dtype=told[name].properties.dtype) for name in told if pattern.fullmatch(name)}
    if not state:
        raise ModelwrightError(f"{folder} holds no low-rank matrices of layers that are all alike")
    torch_checkpoint.load(state, storage_reader=reader, no_dist=True)
    found: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        match = pattern.fullmatch(name)
        assert match is not None
        for number, each in enumerate(value):  # layers lie one behind another
            found.setdefault((match[1], number), {})[match[2]] = each
    return found
