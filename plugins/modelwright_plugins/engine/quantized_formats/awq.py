"""AWQ's files, the layout "gemm" (AutoAWQ; also read by vLLM).

qweight int32 [inputs, outputs / 8]: a word has the codes of 8 outputs that follow each other, of which the 0th, 2nd, 4th, 6th, 1st, 3rd,
5th, 7th stand from its lowest bits up. qzeros int32 [groups, outputs / 8], in the same order. scales FP16 [groups, outputs]. A weight is
(code - zero) · scale. There are no divisors of inputs: they are in the layer before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modelwright_plugins.engine.quantized_formats import Format, Matrix, Spec, groups, half_of_groups, of_groups, whole_words, words
from modelwright_plugins.quantizer import Stored

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


class AWQFiles(Format):
    needs = "gptqmodel"

    def problem(self, quantizer: Any) -> str | None:
        return None if quantizer.bits == 4 else f"quantizer.bits={quantizer.bits}"

    def config(self, quantizer: Any, plain: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
        return {
            "quant_method": "awq",
            "bits": quantizer.bits,
            "group_size": quantizer.group if quantizer.group > 0 else -1,
            "zero_point": True,  # always in the files: of a symmetric range it is the 8th level
            "version": "gemm",
            "modules_to_not_convert": [*plain],
        }

    def tensors(self, quantizer: Any, matrix: Matrix) -> dict[str, Spec]:
        whole_words(matrix, quantizer.bits, "outputs")
        parts = groups(quantizer, matrix)
        return {
            "qweight": ((matrix.inputs, matrix.outputs // 8), torch.int32),
            "qzeros": ((parts, matrix.outputs // 8), torch.int32),
            "scales": ((parts, matrix.outputs), torch.float16),
        }

    def packed(self, quantizer: Any, stored: Stored, matrix: Matrix) -> Mapping[str, torch.Tensor]:
        from modelwright_plugins.quantizer._packing import unpacked

        scales = half_of_groups(stored["scales"], matrix)
        zeros = of_groups(stored["zeros"], matrix) if "zeros" in stored else torch.full(scales.shape, 8, dtype=torch.uint8)
        return {"qweight": _words(unpacked(stored["codes"], 4).T), "qzeros": _words(zeros.T), "scales": scales.T}


def _words(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [rows, outputs] -> int32 [rows, outputs / 8]."""
    from modelwright_plugins.quantizer._packing import packed

    turned = codes.reshape(len(codes), -1, 8)[..., ORDER].reshape(codes.shape)
    return words(packed(turned, 4))
