"""Formats in which others keep quantized matrices, one a file: which tensors stand for a matrix in a folder of safetensors, and what
`quantization_config` says of them.

A quantizer says which is its (`Quantizer.published`). Those of numbers at equal distances (gptq, awq, compressed-tensors) read what
`quantizer._levels.stored` stores, and fields: `codes` of `bits` bits without a bit between them, `scales` of each `group` of a row and,
if it is not `symmetric`, `zeros`. What a quantizer stores as `divisors` of inputs is put into what is before
(`engine/quantized_out.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face import Rows
from modelwright_plugins.quantizer import Quantizer, Stored

Spec = tuple[tuple[int, ...], torch.dtype]

MODELS = ("llama", "mistral", "qwen2", "qwen3", "granite", "bloom")
"""Whose linear layers are one `torch.nn.Linear` each, but for the head, in transformers and in the libraries that read these files."""


@dataclass(frozen=True)
class Matrix:
    """One of theirs, [outputs, inputs]: some rows of one of ours."""

    outputs: int
    inputs: int
    rows: Rows | None  # of ours, in their order; None: all
    dtype: torch.dtype  # of the model's plain numbers


class Format(ABC):
    """How a quantizer's matrices are written."""

    needs: ClassVar[str]  # what transformers wants to be installed

    @abstractmethod
    def problem(self, quantizer: Any) -> str | None:
        """Which setting of the quantizer these files have no place for, and what they hold; None: they hold what it stores."""

    @abstractmethod
    def config(self, quantizer: Any, plain: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
        """`quantization_config`; `plain`: names of linear layers that are not quantized, `dtype`: of the model's plain numbers."""

    @abstractmethod
    def tensors(self, quantizer: Any, matrix: Matrix) -> dict[str, Spec]:
        """Of each tensor that stands for the matrix, by what follows the layer's name: shape and format. ModelwrightError: its sizes
        have no place in these files."""

    @abstractmethod
    def packed(self, quantizer: Any, stored: Stored, matrix: Matrix) -> Mapping[str, torch.Tensor]:
        """These tensors, of what is stored of the matrix' rows."""

    def part(self, stored: Stored, rows: Rows | None) -> Stored:
        """What is stored of some rows."""
        if rows is None:
            return stored
        index, outputs = torch.from_numpy(rows), len(stored["codes"])
        return {name: value[index] if value.ndim == 2 and len(value) == outputs else value for name, value in stored.items()}


def formats() -> dict[str, Format]:
    from modelwright_plugins.engine.quantized_formats.awq import AWQFiles
    from modelwright_plugins.engine.quantized_formats.bitsandbytes import BitsAndBytes
    from modelwright_plugins.engine.quantized_formats.compressed_tensors import CompressedTensors
    from modelwright_plugins.engine.quantized_formats.gptq import GPTQFiles

    return {"gptq": GPTQFiles(), "awq": AWQFiles(), "compressed-tensors": CompressedTensors(), "bitsandbytes": BitsAndBytes()}


HELD = (
    "formats that exist: gptq (2, 3, 4, 8 bits), awq (4 bits), compressed-tensors (4 and 8 bits, smoothquant, fp8 E4M3 by row or matrix), "
    "bitsandbytes (nf4, llm_int8)"
)


def format_of(quantizer: Quantizer) -> tuple[str, Format]:
    """The name of the format in which a quantizer's matrices are written, and how. ModelwrightError: there is none, and which there are."""
    every = formats()
    name = quantizer.published()
    if name not in every:
        raise ModelwrightError(f"no published format holds what {type(quantizer).__name__} stores; {HELD}")
    if why := every[name].problem(quantizer):
        raise ModelwrightError(
            f"what {type(quantizer).__name__} stores would go into {name}'s files, which have no place for {why}; {HELD}"
        )
    return name, every[name]


def of_groups(each: torch.Tensor, matrix: Matrix) -> torch.Tensor:
    """Scales or zero points of the groups of each row, [outputs, groups], of what the whole matrix may share."""
    return each.expand(matrix.outputs, -1)


def half_of_groups(each: torch.Tensor, matrix: Matrix) -> torch.Tensor:
    """The same of scales, in FP16: as they are stored, but for those that a divisor was put into."""
    from modelwright_plugins.quantizer._groups import half

    return half(of_groups(each, matrix).float())


def symmetric(quantizer: Any) -> bool:
    """Whether the level of 0 is the 2^(bits - 1)th of every group, and no zero points are stored."""
    return bool(getattr(quantizer, "symmetric", True))


def groups(quantizer: Any, matrix: Matrix) -> int:
    """Of a row."""
    return matrix.inputs // quantizer.group if quantizer.group > 0 else 1


def words(octets: torch.Tensor) -> torch.Tensor:
    """uint8 [rows, bytes] -> int32 [rows, words], the last filled with zeros."""
    whole = F.pad(octets, (0, -octets.shape[1] % 4)).reshape(-1)
    return whole.view(torch.int32).view(len(octets), -1)


def whole_words(matrix: Matrix, bits: int, *sides: str) -> None:
    """ModelwrightError: codes of one of these sides don't fill words of 32 bits."""
    from math import gcd

    each = 32 // gcd(32, bits)
    for side in sides:
        if getattr(matrix, side) % each:
            raise ModelwrightError(f"it has {getattr(matrix, side)} {side}, and words of {bits}-bit codes have {each} of them")
