"""Quantized files read as their formats are described, number by number in float64, by nothing of ours."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch


def unpacked(every: dict[str, torch.Tensor], told: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All tensors of a folder with plain matrices, float64 [outputs, inputs], in the place of what stands for them."""
    ends = {"gptq": "qweight", "awq": "qweight", "bitsandbytes": "weight", "compressed-tensors": "weight"}
    if told["quant_method"] == "compressed-tensors" and told["format"] == "pack-quantized":
        ends["compressed-tensors"] = "weight_packed"
    end, read = ends[told["quant_method"]], {"gptq": gptq, "awq": awq, "bitsandbytes": bnb, "compressed-tensors": compressed}
    layers = [
        name.removesuffix(f".{end}")
        for name, value in every.items()
        if name.endswith(f".{end}") and (not value.is_floating_point() or value.dtype.itemsize == 1)
    ]
    found, used = {}, set()
    for layer in layers:
        own = {name.removeprefix(f"{layer}."): value for name, value in every.items() if name.startswith(f"{layer}.")}
        own.pop("bias", None)
        used |= {f"{layer}.{name}" for name in own}
        found[f"{layer}.weight"] = torch.from_numpy(read[told["quant_method"]](own, told))
    return found | {name: value.double() for name, value in every.items() if name not in used}


def words(values: torch.Tensor, bits: int) -> np.ndarray:
    """int32 [rows, words] -> codes [rows, words · 32 / bits]: all bits of a row one after another, from the lowest."""
    rows = []
    for row in values.tolist():
        number = sum((word & 0xFFFFFFFF) << (32 * place) for place, word in enumerate(row))
        rows.append([(number >> (bits * place)) & (2**bits - 1) for place in range(len(row) * 32 // bits)])
    return np.array(rows, dtype=np.float64)


def gptq(own: dict[str, torch.Tensor], told: dict[str, Any]) -> np.ndarray:
    bits = told["bits"]
    assert {name: value.dtype for name, value in own.items()} == {
        "qweight": torch.int32, "qzeros": torch.int32, "scales": torch.float16, "g_idx": torch.int32,
    }  # fmt: skip
    codes = words(own["qweight"].T, bits)  # [outputs, inputs]
    zeros = words(own["qzeros"], bits).T + (told["checkpoint_format"] == "gptq")  # [outputs, groups]
    group, scales = own["g_idx"].long().numpy(), own["scales"].double().numpy().T
    size = told["group_size"] if told["group_size"] > 0 else codes.shape[1]
    assert (group == np.arange(codes.shape[1]) // size).all() and scales.shape[1] == codes.shape[1] // size
    assert told["sym"] == bool((zeros == 2 ** (bits - 1)).all())
    found: np.ndarray = (codes - zeros[:, group]) * scales[:, group]
    return found


def awq(own: dict[str, torch.Tensor], told: dict[str, Any]) -> np.ndarray:
    def turned(values: torch.Tensor) -> np.ndarray:
        """int32 [rows, outputs / 8] -> [outputs, rows]: the nibbles of a word are of outputs 0, 2, 4, 6, 1, 3, 5, 7."""
        found = np.empty((len(values), values.shape[1] * 8))
        for place, output in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):
            found[:, output::8] = (values.numpy().astype(np.int64) >> (4 * place)) & 15
        return found.T

    assert told["bits"] == 4 and told["version"] == "gemm" and told["zero_point"] is True and {*own} == {"qweight", "qzeros", "scales"}
    codes, zeros, scales = turned(own["qweight"]), turned(own["qzeros"]), own["scales"].double().numpy().T
    size = told["group_size"] if told["group_size"] > 0 else codes.shape[1]
    found: np.ndarray = (codes - zeros.repeat(size, 1)) * scales.repeat(size, 1)
    return found


def compressed(own: dict[str, torch.Tensor], told: dict[str, Any]) -> np.ndarray:
    weights = told["config_groups"]["group_0"]["weights"]
    scales = own["weight_scale"].double().numpy()
    if told["format"] != "pack-quantized":
        kind = {"int-quantized": torch.int8, "float-quantized": torch.float8_e4m3fn}[told["format"]]
        assert own["weight"].dtype == kind and weights["type"] in told["format"]
        assert scales.shape == ((1,) if weights["strategy"] == "tensor" else (len(own["weight"]), 1))
        return np.asarray(own["weight"].double().numpy() * scales)
    (outputs, inputs), bits = own["weight_shape"].tolist(), weights["num_bits"]
    codes = words(own["weight_packed"], bits)[:, :inputs]
    size = weights["group_size"] or inputs
    assert scales.shape == (outputs, inputs // size) and weights["strategy"] == ("group" if weights["group_size"] else "channel")
    zeros = np.full(scales.shape, 2.0 ** (bits - 1))
    if not weights["symmetric"]:
        zeros = words(own["weight_zero_point"].T, bits)[:, :outputs].T
    else:
        assert "weight_zero_point" not in own
    return np.asarray((codes - zeros.repeat(size, 1)) * scales.repeat(size, 1))


def bnb(own: dict[str, torch.Tensor], told: dict[str, Any]) -> np.ndarray:
    if told["load_in_8bit"]:
        assert {*own} == {"weight", "SCB", "weight_format"} and own["weight_format"].item() == 0
        found: np.ndarray = own["weight"].double().numpy() * own["SCB"].double().numpy()[:, None] / 127
        return found
    state = json.loads(bytes(own["weight.quant_state.bitsandbytes__nf4"].tolist()))
    octets = own["weight"].numpy()[:, 0]
    codes = np.stack([octets >> 4, octets & 15], 1).ravel()
    absmax = own["weight.absmax"].numpy()
    if "nested_offset" in state:
        assert absmax.dtype == np.uint8 and state["nested_blocksize"] == 256
        outer = own["weight.nested_absmax"].double().numpy()
        inner = own["weight.nested_quant_map"].double().numpy()[absmax]
        absmax = inner * outer.repeat(256)[: len(inner)] + state["nested_offset"]
    else:
        assert absmax.dtype == np.float32
    levels = own["weight.quant_map"].double().numpy()[codes]
    return np.asarray((levels * absmax.astype(np.float64).repeat(state["blocksize"])).reshape(state["shape"]))
