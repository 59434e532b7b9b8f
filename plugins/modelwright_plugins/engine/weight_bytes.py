"""How many bytes a checkpoint's weights are."""

from __future__ import annotations

from math import prod
from pathlib import Path

from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.safe_load import SafeReader


def weight_bytes(folder: Path) -> int:
    """Of the newest whole step in `folder`, as numbers are saved (FP32, BF16 …), without what its optimizer keeps; of quantized layers
    what is stored for them: codes, scales. Of an adapter's checkpoint the adapter's own. From its indexes: nothing is loaded. 0 where
    there is no whole step."""
    if (step := checkpoint.latest(folder)) is None:
        return 0
    index = SafeReader(checkpoint.step_folder(folder, step)).index.state_dict_metadata
    own = [told for name, told in index.items() if not name.startswith("optimizer.") and hasattr(told, "size")]
    return sum(map(_stored, folder.glob("quantized-*.safetensors"))) + sum(prod(told.size) * told.properties.dtype.itemsize for told in own)


def _stored(file: Path) -> int:
    """Of a safetensors file all but its header, which has its own length in its first 8 bytes."""
    with file.open("rb") as opened:
        return file.stat().st_size - 8 - int.from_bytes(opened.read(8), "little")
