"""GPTQ's files (AutoGPTQ, GPTQModel; also read by vLLM).

qweight int32 [inputs · bits / 32, outputs]: codes of 32 / bits inputs that follow each other a word, the first in its lowest bits (of 3
bits 32 codes in three words, with no bit between). qzeros int32 [groups, outputs · bits / 32], packed so along the outputs. scales FP16
[groups, outputs]. g_idx int32 [inputs]: the group of each. A weight is (code - zero) · scale.

The first version of the format ("gptq") keeps zero points less 1, and so has no place for 0; the second ("gptq_v2") keeps them. Ranges
alike on both sides are written in the first, which everything reads; others in the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modelwright_plugins.engine.quantized_formats import (
    Format,
    Matrix,
    Spec,
    groups,
    half_of_groups,
    of_groups,
    symmetric,
    whole_words,
    words,
)
from modelwright_plugins.quantizer import Stored


class GPTQFiles(Format):
    needs = "gptqmodel optimum"

    def problem(self, quantizer: Any) -> str | None:
        if quantizer.bits not in (2, 3, 4, 8):
            return f"quantizer.bits={quantizer.bits}"
        if getattr(quantizer, "activation_bits", None) is not None:
            return "quantizer.activation_bits"
        return None

    def config(self, quantizer: Any, plain: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
        version = "gptq" if symmetric(quantizer) else "gptq_v2"
        return {
            "quant_method": "gptq",
            "bits": quantizer.bits,
            "group_size": quantizer.group if quantizer.group > 0 else -1,
            "sym": symmetric(quantizer),
            "desc_act": False,  # of act-order, too: its groups are neighbours (`static_groups`), and no input is to be taken out of order
            "static_groups": bool(getattr(quantizer, "act_order", False)),
            "damp_percent": getattr(quantizer, "damping", 0.01),
            "true_sequential": True,
            "checkpoint_format": version,
            "format": version,
            "lm_head": False,
        }

    def tensors(self, quantizer: Any, matrix: Matrix) -> dict[str, Spec]:
        bits, parts = quantizer.bits, groups(quantizer, matrix)
        whole_words(matrix, bits, "inputs", "outputs")
        return {
            "qweight": ((matrix.inputs * bits // 32, matrix.outputs), torch.int32),
            "qzeros": ((parts, matrix.outputs * bits // 32), torch.int32),
            "scales": ((parts, matrix.outputs), torch.float16),
            "g_idx": ((matrix.inputs,), torch.int32),
        }

    def packed(self, quantizer: Any, stored: Stored, matrix: Matrix) -> Mapping[str, torch.Tensor]:
        from modelwright_plugins.quantizer._packing import packed

        bits, scales = quantizer.bits, half_of_groups(stored["scales"], matrix)
        if "zeros" in stored:
            zeros = of_groups(stored["zeros"], matrix)
        else:
            zeros = torch.full(scales.shape, 2 ** (bits - 1) - 1, dtype=torch.uint8)
        each = matrix.inputs // scales.shape[1]
        return {
            "qweight": words(stored["codes"]).T,  # ours have no bit between, either
            "qzeros": words(packed(zeros.T.contiguous(), bits)),
            "scales": scales.T,
            "g_idx": (torch.arange(matrix.inputs) // each).int(),
        }
