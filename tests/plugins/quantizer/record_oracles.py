"""Writes oracles.json: what torchao 0.18.0 and bitsandbytes 0.50.2 make of one matrix. Neither is installed here; in an environment with
them: PYTHONPATH=tests/plugins/quantizer python tests/plugins/quantizer/record_oracles.py"""

from __future__ import annotations

import json
from pathlib import Path

import torch

FILE = Path(__file__).with_name("oracles.json")


def matrix() -> torch.Tensor:
    """[8, 64] with an outlier; sines, which are the same wherever they are computed."""
    place = torch.arange(8 * 64, dtype=torch.float64)
    weight = (0.05 * torch.sin(place * 1.7) * torch.cos(place * place * 0.013)).float().view(8, 64)
    weight[2, 5] = 0.5
    return weight


def record() -> None:
    import bitsandbytes
    import torchao
    from bitsandbytes.functional import quantize_4bit
    from torchao.quantization import quant_primitives as ao

    weight, found = matrix(), {}
    for bits in (2, 3, 4, 8):
        for group in (32, 64):
            block, levels = (1, group), 2**bits - 1
            types = {"eps": 1e-12, "scale_dtype": torch.float32, "zero_point_dtype": torch.int32}
            scale, zero = ao.choose_qparams_affine(weight, ao.MappingType.ASYMMETRIC, block, torch.uint8, 0, levels, **types)
            scale = scale.half().float()  # as it is stored here
            codes = ao.quantize_affine(weight, block, scale, zero, torch.uint8, 0, levels)
            found[f"zero_point {bits} {group}"] = {"codes": codes.tolist(), "scales": scale.tolist(), "zeros": zero.tolist()}
    for name, kind in (("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):
        scale = ao._choose_scale_float8(weight, [1, 64], kind)
        codes = ao._quantize_affine_float8(weight, scale, kind)
        found[f"fp8 {name}"] = {"codes": codes.view(torch.uint8).tolist(), "scales": scale.tolist()}
    codes, state = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False)
    found["nf4"] = {"codes": codes.view(8, 32).tolist(), "scales": state.absmax.view(8, 1).tolist()}
    versions = {"torchao": torchao.__version__, "bitsandbytes": bitsandbytes.__version__}
    FILE.write_text(json.dumps({"versions": versions, **found}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    record()
