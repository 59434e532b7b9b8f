"""How much a checkpoint's weights are: numbers and bytes. From its indexes: nothing is loaded."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from modelwright_plugins.engine import adapted, checkpoint, quantized_files
from modelwright_plugins.engine.safe_load import SafeReader


def weight_count(folder: Path) -> int | None:
    """Numbers in the newest whole step in `folder`, without what its optimizer keeps. None: they aren't all of the model's (quantized
    layers and an adapter's base are elsewhere). 0 where there is no whole step."""
    if (folder / quantized_files.FILE).is_file() or (folder / adapted.FILE).is_file():
        return None
    return sum(prod(told.size) for told in _own(folder))


def weight_bytes(folder: Path) -> int:
    """Of the newest whole step in `folder`, as numbers are saved (FP32, BF16 …), without what its optimizer keeps; of quantized layers
    what is stored for them: codes, scales. Of an adapter's checkpoint the adapter's own. 0 where there is no whole step."""
    return sum(map(_stored, folder.glob("quantized-*.safetensors"))) + sum(prod(t.size) * t.properties.dtype.itemsize for t in _own(folder))


def _own(folder: Path) -> list[Any]:
    """What the index tells of each of its tensors."""
    if (step := checkpoint.latest(folder)) is None:
        return []
    index = SafeReader(checkpoint.step_folder(folder, step)).index.state_dict_metadata
    return [told for name, told in index.items() if not name.startswith("optimizer.") and hasattr(told, "size")]


def _stored(file: Path) -> int:
    """Of a safetensors file all but its header, which has its own length in its first 8 bytes."""
    with file.open("rb") as opened:
        return file.stat().st_size - 8 - int.from_bytes(opened.read(8), "little")
