"""Writing one Megatron indexed dataset."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1)  # the format's mark and version
UINT16, INT32 = 8, 4  # Megatron's numbers of types (`indexed_dataset.DType`)


class ShardWriter:
    """Writes `<prefix>.bin` and `<prefix>.idx`, one sequence a document, byte for byte as Megatron's `IndexedDatasetBuilder` does.

    Tokens take 2 bytes below Megatron's bound for `DType.optimal_dtype`, 4 above. In memory stay 4 bytes a document. Use it as a
    context manager, or call `close`: without its index a dataset can't be read.
    """

    def __init__(self, prefix: Path, vocab_size: int) -> None:
        self.dtype: np.dtype[np.integer] = np.dtype(np.uint16 if vocab_size < 65_500 else np.int32)
        self.index = prefix.with_name(f"{prefix.name}.idx")
        self.bin = prefix.with_name(f"{prefix.name}.bin").open("wb", buffering=1 << 20)
        self.lengths = array("i")  # tokens in each document

    def write(self, tokens: NDArray[np.integer] | Sequence[int]) -> None:
        """One document's tokens, (tokens,), the end of the document among them."""
        row = np.asarray(tokens).astype(self.dtype, copy=False)
        self.bin.write(row.tobytes())
        self.lengths.append(len(row))

    def close(self) -> None:
        """Closes the tokens and writes the index."""
        if self.bin.closed:
            return
        self.bin.close()
        lengths = np.array(self.lengths, dtype=np.int32)
        begins = np.zeros(len(lengths), dtype=np.int64)  # bytes
        np.cumsum(lengths[:-1], dtype=np.int64, out=begins[1:])
        begins *= self.dtype.itemsize
        documents = np.arange(len(lengths) + 1, dtype=np.int64)  # each is one sequence
        with self.index.open("wb") as out:
            code = UINT16 if self.dtype == np.uint16 else INT32
            out.write(HEADER + struct.pack("<BQQ", code, len(lengths), len(documents)))
            for column in (lengths, begins, documents):
                out.write(column.tobytes())

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
