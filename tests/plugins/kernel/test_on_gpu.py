"""On a CUDA device each kernel, attention and number format learns what FP32 learns on the CPU, as nearly as its numbers are fine.

Nobody has run this yet: docs/gpu.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modelwright.hooks import discover
from modelwright_plugins.conformance.ranks import on_ranks
from modelwright_plugins.conformance.training import Case, losses, small_decoder, train

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]

STEPS = 20
# kernel, attention, precision: how far a loss may be from FP32's on the CPU, as a share
COMBINATIONS: dict[tuple[str, str, str], float] = {
    ("torch", "sdpa", "fp32"): 1e-3,
    ("torch", "sdpa", "bf16"): 0.02,
    ("torch", "sdpa", "fp16"): 0.02,
    ("torch", "transformer_engine", "bf16"): 0.02,
    ("transformer_engine", "sdpa", "bf16"): 0.02,
    ("transformer_engine", "native", "bf16"): 0.02,
    ("transformer_engine", "native", "fp8_delayed"): 0.05,
    ("transformer_engine", "native", "fp8_current"): 0.05,
    ("transformer_engine", "native", "fp8_blockwise"): 0.05,
    ("transformer_engine", "native", "mxfp8"): 0.05,
}
WIDE = {"width": 256, "heads": 4, "kv_heads": 2}  # FP8's tiles are of up to 128 elements


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    (found,) = losses([Case({"architecture": small_decoder(**WIDE)}, steps=STEPS)], tmp_path_factory.mktemp("cpu"), ranks=1)
    return found


@pytest.mark.parametrize(("names", "far"), COMBINATIONS.items(), ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")
def test_it_learns_what_fp32_learns_on_the_cpu(names: tuple[str, str, str], far: float, on_cpu: list[float], tmp_path: Path) -> None:
    registry = discover().registry
    parts = {kind: registry.load(kind, name)() for kind, name in zip(("kernel", "attention", "precision"), names, strict=True)}
    why = [*parts["kernel"].problems(), *parts["attention"].problems(), *parts["precision"].problems(parts["kernel"])]
    if why:
        pytest.skip(why[0])
    case = Case({**parts, "architecture": small_decoder(**WIDE)}, steps=STEPS)
    ((found,),) = on_ranks(train, 1, tmp_path, gpu=True, cases=[case], out=tmp_path)
    assert found == pytest.approx(on_cpu, rel=far)
    assert found[-1] < 0.9 * found[0]
