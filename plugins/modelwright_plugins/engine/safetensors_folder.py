"""Folders of safetensors: written and read a tensor at a time, in shards with an index, as Hugging Face's are.

A file is the length of its header (8 bytes, little-endian), the header (JSON: name -> dtype, shape, place), then the numbers.
(https://huggingface.co/docs/safetensors, Format.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open

from modelwright.errors import ModelwrightError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
CODES = {torch.uint8: "U8", torch.int8: "I8", torch.int32: "I32", torch.int64: "I64", torch.float8_e4m3fn: "F8_E4M3"}  # of quantized ones
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


@dataclass(frozen=True)
class Tensor:
    """One that is to be written."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write(folder: Path, tensors: Sequence[Tensor], read: Callable[[Tensor], torch.Tensor], *, limit: int, bar: Any = None) -> int:
    """Put them into files of at most `limit` bytes each (one tensor at least), and give their number. `read` is asked for one at a time,
    in their order; `bar` is updated by bytes."""
    shards: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(each.bytes for each in shards[-1]) + tensor.bytes > limit:
            shards.append([])
        shards[-1].append(tensor)
    names = [SINGLE] if len(shards) == 1 else [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write(folder / name, shard, read, bar)
    if len(shards) > 1:
        where = {tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        told = {"metadata": {"total_size": sum(each.bytes for each in tensors)}, "weight_map": dict(sorted(where.items()))}
        (folder / INDEX).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return len(shards)


def _write(file: Path, tensors: Sequence[Tensor], read: Callable[[Tensor], torch.Tensor], bar: Any) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": {**DTYPES, **CODES}[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": [place, place + tensor.bytes],
        }
        place += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of 8
    with file.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            found = read(tensor)
            assert found.shape == tensor.shape and found.dtype == tensor.dtype, (tensor, found.shape, found.dtype)
            out.write(found.contiguous().flatten().view(torch.uint8).numpy().data)
            if bar is not None:
                bar.update(tensor.bytes)


class SafetensorsFolder:
    """Tensors by their names. ModelwrightError, in one line: there are none, a shard is missing, or a file is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack, self._open = folder, ExitStack(), dict[str, Any]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @cached_property
    def files(self) -> dict[str, str]:
        """Of each tensor, the name of its file."""
        index, single = self.folder / INDEX, self.folder / SINGLE
        if index.is_file():
            try:
                found = {str(name): str(file) for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
                raise ModelwrightError(f"{index} is no index of shards ({type(e).__name__})") from e
            if outside := next((file for file in found.values() if Path(file).name != file), None):
                raise ModelwrightError(f"{index} is refused: it names a file outside of its folder, {outside}")
            if missing := sorted({file for file in found.values() if not (self.folder / file).is_file()}):
                raise ModelwrightError(f"{self.folder} lacks {', '.join(missing)}, which {INDEX} names")
            return found
        if not single.is_file():
            pickles = sorted(file.name for pattern in PICKLES for file in self.folder.glob(pattern))
            why = f"; {pickles[0]} is a pickle, which may run anything: have it converted to safetensors" if pickles else ""
            raise ModelwrightError(f"{self.folder} has no {SINGLE} and no {INDEX}{why}")
        return dict.fromkeys(self._file(SINGLE).keys(), SINGLE)

    def read(self, name: str) -> torch.Tensor:
        """One of `files`."""
        file = self.files[name]
        try:
            found: torch.Tensor = self._file(file).get_tensor(name)
        except SafetensorError as e:
            raise ModelwrightError(f"{self.folder / file}: {name} can't be read ({e})") from e
        return found

    def _file(self, file: str) -> Any:
        if file not in self._open:
            try:
                self._open[file] = self._stack.enter_context(safe_open(self.folder / file, framework="pt"))
            except (SafetensorError, OSError) as e:
                raise ModelwrightError(f"{self.folder / file} is no whole safetensors file ({e})") from e
        return self._open[file]
