"""The files of a checkpoint whose linear layers are quantized.

Beside `model.json` and the step with what is not quantized (embeddings, norms, biases) stand `quantizer.json` and
`quantized-*.safetensors`. The files have whole matrices, [outputs, inputs] as one rank has them, under the layers' names in the
whole model: any layout reads them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.transformer.module import MegatronModule
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from modelwright.errors import ModelwrightError
from modelwright.registry import Registry
from modelwright.schema import conform
from modelwright_plugins.engine.checkpoint_files import hashed
from modelwright_plugins.engine.quantized import Kept, put, sites
from modelwright_plugins.quantizer import Quantizer, Stored

FILE, WEIGHTS = "quantizer.json", "quantized-{:05d}.safetensors"


def write(folder: Path, kept: Kept, quantizer: Quantizer, registry: Registry) -> None:
    """Write the files of the quantized layers into a checkpoint's folder, each rank its own. All ranks together."""
    kind = type(quantizer)
    target = f"{kind.__module__}:{kind.__qualname__}"
    name = next((e.name for e in registry.entries.values() if e.kind == "quantizer" and e.target == target), None)
    if name is None:
        raise ModelwrightError(f"quantizer {target} is not registered, so {folder / FILE} could not name it")
    told: dict[str, Any] = {"layers": {}, "files": {}}
    if kept.mine:
        file = WEIGHTS.format(dist.get_rank())
        folder.mkdir(parents=True, exist_ok=True)
        save_file({f"{layer}.{each}": v for layer, stored in kept.mine.items() for each, v in stored.items()}, folder / file)
        told["files"][file] = hashed(folder / file)
        for layer, stored in kept.mine.items():
            told["layers"][layer] = {"shape": [*quantizer.weight(stored).shape], "file": file, "stored": [*stored]}
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, told)
    if dist.get_rank() == 0:
        layers = {layer: about for each in every for layer, about in each["layers"].items()}
        files = {file: about for each in every for file, about in each["files"].items()}
        fields = dataclasses.asdict(quantizer)
        card = {"quantizer": {"name": name, "fields": fields}, "layers": layers, "files": files}
        (folder / FILE).write_text(json.dumps(card, indent=1, default=str), encoding="utf-8")


@dataclass(frozen=True)
class QuantizedCard:
    """What `quantizer.json` says."""

    folder: Path
    name: str  # of the quantizer
    quantizer: Quantizer
    layers: Mapping[str, Mapping[str, Any]]  # name -> shape, file, and names of what is stored
    files: Mapping[str, tuple[int, str]]  # -> bytes, SHA-256

    @classmethod
    def read(cls, folder: Path, registry: Registry) -> QuantizedCard | None:
        """None: the checkpoint isn't quantized. Nothing in the file is imported or run: the quantizer is found by its name."""
        try:
            told = json.loads((folder / FILE).read_text(encoding="utf-8"))
            name, fields = str(told["quantizer"]["name"]), dict(told["quantizer"]["fields"])
            files = {Path(str(file)).name: (int(size), str(digest)) for file, (size, digest) in told["files"].items()}
            layers = {
                str(layer): {"shape": tuple(map(int, about["shape"])), "file": str(about["file"]), "stored": [*map(str, about["stored"])]}
                for layer, about in told["layers"].items()
            }
            if {about["file"] for about in layers.values()} - {*files}:
                raise ValueError
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelwrightError(f"{folder / FILE} is not the card of quantized layers ({e.__class__.__name__})") from e
        return cls(folder, name, conform(fields, registry.load("quantizer", name), f"{folder / FILE}: quantizer"), layers, files)

    def name_and_fields(self) -> dict[str, Any]:
        return {"name": self.name, "fields": dataclasses.asdict(self.quantizer)}

    def stored(self, layer: str, *only: str) -> Stored:
        """What the file has of one layer's whole matrix, or of it these names, on the CPU. ModelwrightError: the file hasn't."""
        about = self.layers[layer]
        try:
            with safe_open(self.folder / about["file"], "pt") as file:
                return {name: file.get_tensor(f"{layer}.{name}") for name in only or about["stored"]}
        except (OSError, SafetensorError) as e:
            raise ModelwrightError(f"{self.folder / about['file']}: {layer} can't be read ({e})") from e

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Each layer's name and whole matrix, FP32 [outputs, inputs], one at a time: what an exporter of plain weights wants."""
        for layer in self.layers:
            yield layer, self.quantizer.weight(self.stored(layer))

    def check(self) -> None:
        """ModelwrightError if a file isn't what was written. Ranks, if there are some, share the files out: all together."""
        ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        wrong = [file for file in sorted(self.files)[rank::ranks] if not self._whole(file)]
        every: list[Any] = [wrong]
        if ranks > 1:
            every = [None] * ranks
            dist.all_gather_object(every, wrong)
        if damaged := [file for each in every for file in each]:
            raise ModelwrightError(f"{self.folder / damaged[0]} is missing or damaged: it is not what was written")

    def _whole(self, file: str) -> bool:
        try:
            return hashed(self.folder / file) == self.files[file]
        except OSError:
            return False


def load(folder: Path, chunks: list[MegatronModule], registry: Registry) -> Quantizer | None:
    """Put the quantized layers of a checkpoint in their places, if it has any; the rest is `checkpoint.load`'s, after this. All ranks
    together. ModelwrightError: files are damaged, or of another model."""
    if (card := QuantizedCard.read(folder, registry)) is None:
        return None
    card.check()
    found, every = sites(chunks), [[""]] * dist.get_world_size()
    dist.all_gather_object(every, [site.name for site in found])
    if left := sorted({*card.layers}.difference(*every)):
        raise ModelwrightError(
            f"{folder / FILE} has {left[0]}, and the model no such layer of Megatron's own; if the model is the same, kernel=torch has it"
        )
    for site in found:
        shape = site.shape
        if (about := card.layers.get(site.name)) is None:
            raise ModelwrightError(f"{folder / FILE} has no {site.name}")
        if about["shape"] != shape:
            raise ModelwrightError(f"{folder / FILE}: {site.name} is {list(about['shape'])}, and the model's {list(shape)}")
        put(site, card.quantizer, card.stored(site.name))
    return card.quantizer


def refuse_quantized(folder: Path) -> None:
    """ModelwrightError if the checkpoint is quantized where weights to train further are wanted."""
    if (folder / FILE).is_file():
        raise ModelwrightError(f"{folder} holds a quantized model, which can't be trained further; train the one that it was made of")


def refuse_again(folder: Path) -> None:
    """ModelwrightError if the checkpoint is quantized where plain weights are wanted."""
    if (folder / FILE).is_file():
        raise ModelwrightError(f"{folder} is quantized already; quantize the model that it was made of")
