"""What libraries make of one layer and its inputs, written to `layers.json`. Not a test: none of them is among the project's packages.

pip install --no-deps bitsandbytes==0.50.2 torchao==0.18.0 llmcompressor==0.14.0.1 compressed-tensors==0.20.0 autoawq==0.2.9 loguru
python tests/plugins/quantizer/record_layers.py
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

sys.path.insert(0, str(Path(__file__).parent))
from planted import layer

FILE = Path(__file__).with_name("layers.json")


def given() -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix [64, 32] and inputs [60, 32], two of which are outliers in every token."""
    weight, x = layer(64, 32, 60)
    x[:, (5, 20)] += 7 * x[:, (5, 20)].sign()
    return weight, x


def gptq(weight: torch.Tensor, x: torch.Tensor) -> dict[str, Any]:
    from compressed_tensors.quantization import QuantizationArgs
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    found = {}
    for name, bits, group, order in (("rows", 4, 0, None), ("order", 3, 16, "weight")):
        strategy = {"strategy": "group", "group_size": group} if group else {"strategy": "channel"}
        how = QuantizationArgs(num_bits=bits, symmetric=True, actorder=order, **strategy)
        scale = weight.view(64, -1, group or 32).abs().amax(-1) * 2 / (2**bits - 1)
        made, *_ = quantize_weight(
            weight.clone()[None], (x.T @ x / len(x))[None], scale[None], torch.zeros_like(scale, dtype=torch.int8)[None], None, how
        )
        found[f"gptq {name}"] = (made[0].view(64, -1, group or 32) / scale[..., None]).round().int().view(64, 32).tolist()
    return found


def awq(weight: torch.Tensor, x: torch.Tensor) -> dict[str, Any]:
    import autoawq_source  # type: ignore[import-not-found]

    quantizer, found = object.__new__(autoawq_source.AwqQuantizer), {}
    quantizer.duo_scaling, quantizer.max_chunk_memory, quantizer.n_parallel_calib_samples = False, 2**30, None
    for bits, group, zero in ((3, 16, True), (4, 32, False)):
        quantizer.w_bit, quantizer.group_size, quantizer.zero_point = bits, group, zero
        linear = torch.nn.Linear(32, 64, bias=False)
        linear.weight.data = weight.clone()
        mean = x.abs().mean(0)
        with torch.no_grad():
            scale = quantizer._compute_best_scale(x, mean, mean, linear, [linear], x @ weight.T)
        limit = quantizer._compute_best_clip(weight * scale, x / scale)
        found[f"awq {bits} {group}"] = {"divisor": scale.tolist(), "limit": limit[..., 0].tolist()}
    return found


def int8(weight: torch.Tensor, x: torch.Tensor) -> dict[str, Any]:
    import bitsandbytes as bnb

    linear = bnb.nn.Linear8bitLt(32, 64, bias=False, has_fp16_weights=False, threshold=6.0)
    linear.weight = bnb.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False)
    linear = linear.to("cpu")
    with torch.no_grad():
        out = linear(x.to(torch.bfloat16).float())
    return {"llm_int8": out.float().tolist()}


def qat(weight: torch.Tensor, x: torch.Tensor) -> dict[str, Any]:
    from torchao.quantization.qat import IntxFakeQuantizeConfig
    from torchao.quantization.qat.fake_quantizer import IntxFakeQuantizer

    mine = weight.clone().requires_grad_()
    made = IntxFakeQuantizer(IntxFakeQuantizeConfig(torch.int4, group_size=16, is_symmetric=True))(mine)
    made.sum().backward()
    assert mine.grad is not None
    return {"qat": {"made": made.tolist(), "gradient": mine.grad.tolist()}}


def source(name: str, file: Path) -> None:
    """AutoAWQ's searches alone: the package itself wants an older transformers."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    for each in ("awq", "awq.utils", "awq.utils.calib_data", "awq.quantize", "awq.quantize.scale", "awq.utils.utils", "awq.modules",
                 "awq.modules.linear", "awq.utils.module"):  # fmt: skip
        sys.modules[each] = ModuleType(each)
        vars(sys.modules[each]).update(__path__=[], __getattr__=lambda _: MagicMock())
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for each in [each for each in sys.modules if each.split(".")[0] == "awq"]:
        del sys.modules[each]


if __name__ == "__main__":
    where = importlib.util.find_spec("awq")
    assert where is not None and where.submodule_search_locations is not None
    source("autoawq_source", Path(where.submodule_search_locations[0]) / "quantize" / "quantizer.py")
    found: dict[str, Any] = {}
    for each in (gptq, awq, int8, qat):
        found |= each(*given())
    FILE.write_text(json.dumps(found), encoding="utf-8")
