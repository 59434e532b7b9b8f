"""Pickles of a checkpoint, read so that nothing in them is run: only the classes named here come out of one.

torch.load with `weights_only` does that for tensors. The rest that Megatron and torch keep in a checkpoint is read here: the index of
a torch_dist checkpoint (`.metadata`), and what Transformer Engine keeps of a layer's FP8 scales, a pickle in a tensor of bytes.
Callables that are allowed build a value from plain ones and do nothing else; Python's documentation of pickle, "Restricting Globals".
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import torch

from modelwright.errors import ModelwrightError

INDEX = {
    "pathlib": {"PosixPath", "PurePosixPath"},
    "pathlib._local": {"PosixPath", "PurePosixPath"},  # Python 3.13
    "torch": {"Size"},
    "torch.serialization": {"_get_layout"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
        "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    },
    # what Megatron-LM's own writer adds, to write the next checkpoint faster
    "torch.distributed.checkpoint.planner": {"SavePlan", "TensorWriteData", "WriteItem", "WriteItemType"},
}  # fmt: skip
SCALES = {
    "builtins": {"bytearray"},
    "collections": {"OrderedDict"},
    "torch": {"Size"},
    "torch._utils": {"_rebuild_tensor_v2"},
    "transformer_engine.common.recipe": {
        "DelayedScaling", "Float8BlockScaling", "Float8CurrentScaling", "Format", "MMParams", "MXFP8BlockScaling", "NVFP4BlockScaling",
        "QParams", "_FormatHelper",
    },
}  # fmt: skip


def read(data: bytes, where: Path | str, allowed: dict[str, set[str]]) -> Any:
    """What a pickle holds: plain values, dtypes, and instances of the `allowed` classes (module -> names).

    Raises ModelwrightError, naming `where` and what it tried to import, for anything else, and for what is no pickle.
    """
    try:
        return _Restricted(data, where, allowed).load()
    except ModelwrightError:
        raise
    except Exception as e:  # a damaged pickle raises whatever it stumbles over
        raise ModelwrightError(f"{where} can't be read: {' '.join(f'{type(e).__name__}: {e}'.split())}") from e


def weights(data: io.IOBase | Path, where: Path | str) -> Any:
    """What `torch.save` wrote, when it is tensors and plain values alone. Raises ModelwrightError as `read` does."""
    try:
        return torch.load(data, map_location="cpu", weights_only=True)  # type: ignore[arg-type]
    except (pickle.UnpicklingError, EOFError) as e:
        raise refused(e, where) from e


def refused(error: Exception, where: Path | str) -> ModelwrightError:
    """torch's refusal, in one line."""
    found = re.search(r"(?:GLOBAL|global:?|class|function|type) [`'\"]?([A-Za-z_]\w*(?:\.\w+)+)", str(error).partition("\n")[2])
    return _refusal(where, f"it tried to import {found[1]}" if found else "it is not in the form of weights")


def sanitized(scales: torch.Tensor, where: Path | str) -> torch.Tensor:
    """A layer's FP8 scales as Transformer Engine keeps them (uint8 [bytes], a pickle that it will load), rewritten by us."""
    found = read(bytes(scales.detach().cpu().numpy().tobytes()), where, SCALES)
    return torch.frombuffer(bytearray(pickle.dumps(found)), dtype=torch.uint8)


_Unpickler: Any = vars(pickle)["_Unpickler"]  # the one in Python: what it does at each opcode can be overridden


class _Restricted(_Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def __init__(self, data: bytes, where: Path | str, allowed: dict[str, set[str]]) -> None:
        super().__init__(io.BytesIO(data))
        self.where, self.allowed = where, allowed

    def find_class(self, module: str, name: str) -> Any:
        if name in self.allowed.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        if (module, name) == ("torch.storage", "_load_from_bytes"):  # torch's own unpickles freely
            return lambda data: weights(io.BytesIO(data), self.where)
        raise _refusal(self.where, f"it tried to import {module}.{name}")

    def load_build(self) -> None:
        if callable(self.stack[-2]):  # a class or a function: its attributes are everybody's
            raise _refusal(self.where, f"it tried to change {self.stack[-2]!r}")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build

    def persistent_load(self, key: Any) -> Any:
        raise _refusal(self.where, "it refers to objects outside of itself")


def _refusal(where: Path | str, why: str) -> ModelwrightError:
    return ModelwrightError(f"{where} is refused: {why}, and a checkpoint may hold only weights; nothing of it was run")
