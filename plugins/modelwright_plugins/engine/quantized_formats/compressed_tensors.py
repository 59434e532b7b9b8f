"""compressed-tensors (vLLM's llm-compressor; also read by transformers).

- pack-quantized: weight_packed int32 [outputs, inputs · bits / 32], codes of a row without a bit between them, the first in the lowest
  bits, each 2^(bits - 1) above the whole number that it stands for; weight_scale [outputs, groups]; weight_zero_point int32
  [outputs · bits / 32, groups], packed so along the outputs, if levels are not alike on both sides; weight_shape int64 [2].
- int-quantized: weight int8, weight_scale [outputs, 1] and, where inputs have a scale from calibration, input_scale [1].
- float-quantized: weight float8_e4m3fn, weight_scale [outputs, 1], or [1] of the whole matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from modelwright_plugins.engine.quantized_formats import Format, Matrix, Spec, groups, half_of_groups, of_groups, symmetric, words
from modelwright_plugins.quantizer import Stored
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.quantizer.smoothquant import SmoothQuant

PLAIN_IN_TRANSFORMERS = {"dequantize": True}
"""What lets transformers read packed zero points: 5.23 makes room for them unpacked and says that sizes differ (llm-compressor's issue
1618), but for matrices that are made plain on loading. Nothing else reads it."""


class CompressedTensors(Format):
    needs = "compressed-tensors"

    def problem(self, quantizer: Any) -> str | None:
        if isinstance(quantizer, FP8):
            if quantizer.format != "e4m3":
                return f"quantizer.format={quantizer.format}"
            if quantizer.activations != "none" and quantizer.activation_format != "e4m3":
                return f"quantizer.activation_format={quantizer.activation_format}"
            return f"quantizer.group={quantizer.group} of FP8" if quantizer.group > 0 else None
        if isinstance(quantizer, SmoothQuant):
            return None
        if quantizer.bits not in (4, 8):
            return f"quantizer.bits={quantizer.bits}"
        if (bits := getattr(quantizer, "activation_bits", None)) is not None:
            return f"quantizer.activation_bits={bits} of inputs beside packed weights"
        return None

    def config(self, quantizer: Any, plain: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
        inputs: dict[str, Any] | None = None
        if isinstance(quantizer, FP8):
            name, weights = "float-quantized", _arguments("float", 8, "channel" if quantizer.group == 0 else "tensor")
            if quantizer.activations != "none":
                inputs = _arguments("float", 8, "token" if quantizer.activations == "token" else "tensor", dynamic=True)
        elif isinstance(quantizer, SmoothQuant):
            name, weights = "int-quantized", _arguments("int", 8, "channel")
            if quantizer.activations == "calibrated":
                inputs = _arguments("int", 8, "tensor")
            else:
                inputs = _arguments("int", 8, "token" if quantizer.activations == "token" else "tensor", dynamic=True)
        else:
            grouped = {"strategy": "group", "group_size": quantizer.group} if quantizer.group > 0 else {"strategy": "channel"}
            name, weights = "pack-quantized", _arguments("int", quantizer.bits, **grouped) | {"symmetric": symmetric(quantizer)}
        group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None, "format": name}
        return {
            "quant_method": "compressed-tensors",
            "format": name,
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": [*plain],
            "kv_cache_scheme": None,
            **(PLAIN_IN_TRANSFORMERS if weights["symmetric"] is False else {}),
        }

    def tensors(self, quantizer: Any, matrix: Matrix) -> dict[str, Spec]:
        shape = (matrix.outputs, matrix.inputs)
        if isinstance(quantizer, FP8):
            scales = (1,) if quantizer.group == -1 else (matrix.outputs, 1)
            return {"weight": (shape, torch.float8_e4m3fn), "weight_scale": (scales, torch.float32)}
        if isinstance(quantizer, SmoothQuant):
            found: dict[str, Spec] = {"weight": (shape, torch.int8), "weight_scale": ((matrix.outputs, 1), torch.float32)}
            return found | ({"input_scale": ((1,), torch.float32)} if quantizer.activations == "calibrated" else {})
        parts, bits = groups(quantizer, matrix), quantizer.bits
        found = {
            "weight_packed": ((matrix.outputs, -(-matrix.inputs * bits // 32)), torch.int32),
            "weight_scale": ((matrix.outputs, parts), torch.float16),
            "weight_shape": ((2,), torch.int64),
        }
        if not symmetric(quantizer):
            found["weight_zero_point"] = ((-(-matrix.outputs * bits // 32), parts), torch.int32)
        return found

    def packed(self, quantizer: Any, stored: Stored, matrix: Matrix) -> Mapping[str, torch.Tensor]:
        if isinstance(quantizer, FP8):
            scales = stored["scales"].view(1) if quantizer.group == -1 else stored["scales"]
            return {"weight": stored["codes"], "weight_scale": scales}
        if isinstance(quantizer, SmoothQuant):
            found = {"weight": stored["codes"], "weight_scale": of_groups(stored["scales"], matrix).float()}
            return found | ({"input_scale": stored["input_scale"].view(1)} if "input_scale" in stored else {})
        shape = torch.tensor([matrix.outputs, matrix.inputs])
        found = {"weight_packed": words(stored["codes"]), "weight_scale": half_of_groups(stored["scales"], matrix), "weight_shape": shape}
        if "zeros" in stored:
            from modelwright_plugins.quantizer._packing import packed

            zeros = of_groups(stored["zeros"], matrix).T
            zeros = F.pad(zeros, (0, -matrix.outputs % 8))  # whole bytes
            found["weight_zero_point"] = words(packed(zeros, quantizer.bits)).T
        return found


def _arguments(kind: str, bits: int, strategy: str, *, dynamic: bool = False, group_size: int | None = None) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": kind,
        "symmetric": True,
        "strategy": strategy,
        "group_size": group_size,
        "dynamic": dynamic,
        "actorder": None,
    }
