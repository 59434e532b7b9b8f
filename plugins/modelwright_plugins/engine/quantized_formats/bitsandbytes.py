"""bitsandbytes (functional.py: `QuantState`; nn/modules.py: `Linear8bitLt`; also read by transformers and vLLM).

- 4 bits: weight uint8 [outputs · inputs / 2, 1], two codes a byte, the first in the higher bits; weight.absmax, the scale of each block of
  weights; weight.quant_map FP32 [16], the levels; weight.quant_state.bitsandbytes__nf4, JSON as uint8. With scales of scales absmax is
  uint8, a scale is nested_quant_map[absmax] · nested_absmax of its 256 + nested_offset.
- 8 bits: weight int8, SCB FP32 [outputs]: a weight is code · SCB / 127. weight_format uint8: 0, rows as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from modelwright_plugins.architecture.hugging_face import Rows
from modelwright_plugins.engine.quantized_formats import Format, Matrix, Spec
from modelwright_plugins.quantizer import Stored
from modelwright_plugins.quantizer._normal_float import GROUP, LARGEST, group_of, large, levels
from modelwright_plugins.quantizer.nf4 import NF4

BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
STATE = "weight.quant_state.bitsandbytes__nf4"
TOLD = 320  # bytes of the JSON, which spaces fill: its length is known before its numbers are


class BitsAndBytes(Format):
    needs = "bitsandbytes accelerate"

    def problem(self, quantizer: Any) -> str | None:
        if isinstance(quantizer, NF4) and quantizer.block not in BLOCKS:
            return f"quantizer.block={quantizer.block} (bitsandbytes' are {', '.join(map(str, BLOCKS))})"
        return None

    def config(self, quantizer: Any, plain: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
        four = isinstance(quantizer, NF4)
        found = {
            "quant_method": "bitsandbytes",
            "load_in_4bit": four,
            "load_in_8bit": not four,
            "llm_int8_threshold": 6.0 if four else quantizer.threshold,
            "llm_int8_skip_modules": [*plain],
            "llm_int8_enable_fp32_cpu_offload": False,
            "llm_int8_has_fp16_weight": False,
        }
        if not four:
            return found
        return found | {
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": quantizer.double,
            "bnb_4bit_compute_dtype": _name(dtype),
            "bnb_4bit_quant_storage": "uint8",
        }

    def part(self, stored: Stored, rows: Rows | None) -> Stored:
        if "outer" in stored:
            stored = stored | {"group": group_of(*stored["scales"].shape)}
        every = {name: stored[name] for name in ("outer", "mean") if name in stored}
        return super().part({name: value for name, value in stored.items() if name not in every}, rows) | every

    def tensors(self, quantizer: Any, matrix: Matrix) -> dict[str, Spec]:
        shape = (matrix.outputs, matrix.inputs)
        if not isinstance(quantizer, NF4):
            return {"weight": (shape, torch.int8), "SCB": ((matrix.outputs,), torch.float32), "weight_format": ((), torch.uint8)}
        blocks = matrix.outputs * matrix.inputs // quantizer.block
        found: dict[str, Spec] = {
            "weight": ((matrix.outputs * matrix.inputs // 2, 1), torch.uint8),
            "weight.absmax": ((blocks,), torch.uint8),
            "weight.quant_map": ((16,), torch.float32),
            STATE: ((TOLD,), torch.uint8),
        }
        if not (quantizer.double and _nests(matrix, matrix.inputs // quantizer.block)):
            return found | {"weight.absmax": ((blocks,), torch.float32)}
        nested = {"weight.nested_absmax": ((-(-blocks // GROUP),), torch.float32), "weight.nested_quant_map": ((256,), torch.float32)}
        return found | nested

    def packed(self, quantizer: Any, stored: Stored, matrix: Matrix) -> Mapping[str, torch.Tensor]:
        if not isinstance(quantizer, NF4):
            codes, most = _with_outliers(stored)
            return {"weight": codes, "SCB": most, "weight_format": torch.zeros((), dtype=torch.uint8)}
        told = {"quant_type": "nf4", "blocksize": quantizer.block, "dtype": _name(matrix.dtype), "shape": [matrix.outputs, matrix.inputs]}
        found = {"weight": stored["codes"].reshape(-1, 1), "weight.quant_map": levels(torch.device("cpu"))}
        scales = stored["scales"]
        if quantizer.double and _nests(matrix, scales.shape[1]):
            first = stored["group"].flatten()[::GROUP]
            found |= {
                "weight.absmax": scales.flatten(),
                "weight.nested_absmax": stored["outer"][first],
                "weight.nested_quant_map": _small_levels(),
            }
            told |= {"nested_blocksize": GROUP, "nested_dtype": "float32", "nested_offset": stored["mean"].item()}
        else:
            wide = large(scales, stored["outer"], stored["mean"], stored["group"]) if quantizer.double else scales
            found["weight.absmax"] = wide.flatten()
        text = json.dumps(told).ljust(TOLD)
        return found | {STATE: torch.tensor([*text.encode()], dtype=torch.uint8)}


def _nests(matrix: Matrix, blocks: int) -> bool:
    """Whether each 256 scales of these rows are of one 256 of the whole matrix, whose scale they share. So it is where a head's rows have
    a multiple of 256 blocks (width 2,048 and heads of 128 have 4,096); otherwise scales are written in FP32, to the same number."""
    if matrix.rows is None:
        return True
    which = (torch.from_numpy(matrix.rows)[:, None] * blocks + torch.arange(blocks)).flatten()
    short = -len(which) % GROUP
    last = F.pad(which, (0, short)).view(-1, GROUP) // GROUP
    if short:
        last[-1, GROUP - short :] = last[-1, 0]
    return bool((last == last[:, :1]).all())


def _small_levels() -> torch.Tensor:
    """What each code of a scale stands for, beside the largest of its 256: FP32 [256]. The two that are no numbers never stand there."""
    found = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(torch.float8_e4m3fn).float() / LARGEST
    return found.nan_to_num(0)


def _with_outliers(stored: Stored) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and the largest of each row. Weights of outlier inputs, which ours keep in FP16, get codes, as bitsandbytes has no other place:
    a row in which one is larger than all others is rounded again to the larger scale."""
    codes, scales = stored["codes"], stored["scales"].float()
    index, outer = stored["outliers"].long(), stored["outlier_weights"].float()
    if not len(index):
        return codes, scales[:, 0] * 127
    wide = codes.float() * scales
    wide[:, index] = outer
    larger = torch.maximum(scales, outer.abs().amax(1, keepdim=True) / 127)
    return (wide / larger).round().clamp(-127, 127).to(torch.int8), larger[:, 0] * 127


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
