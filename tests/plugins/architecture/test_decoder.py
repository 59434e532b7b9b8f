"""Parameters counted on meta modules are the published ones, and those of the model that training builds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.architecture.decoder import CausalDecoder

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

GPT2 = {
    "layers": 12, "width": 768, "heads": 12, "norm": "layer", "activation": "gelu_tanh",
    "position": "learned", "positions": 1024, "bias": True,
}  # fmt: skip
LLAMA3 = {"layers": 32, "width": 4096, "heads": 32, "kv_heads": 8, "feed_forward": 14336, "tied_embeddings": False}


def count(rank: int, cases: list[dict[str, Any]], built: list[dict[str, Any]]) -> dict[str, Any]:
    """Forecast counts of each case by pipeline stage; and for each of `built`, the count of the modules of this rank."""
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.forecast import sizes
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16

    def options(case: dict[str, Any]) -> dict[str, Any]:
        parts = {"precision": BF16(), "kernel": Torch(), "attention": Native()}
        return {**parts, "vocab_size": case["vocab"], "sequence_length": 64}

    found: dict[str, Any] = {"forecast": [], "built": []}
    for case in cases:
        layout = Megatron(**case["layout"])
        stages = [sizes(CausalDecoder(**case["fields"]), layout, place, **options(case)) for place in range(layout.pipeline)]
        found["forecast"].append([sum(stage.values()) for stage in stages])
    for number, case in enumerate(built):
        layout = Megatron(**case["layout"])
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=0):
            chunks = model.build(CausalDecoder(**case["fields"]), parallel=layout, **options(case))
            found["built"].append(sum(p.numel() for chunk in chunks for p in chunk.parameters()))
    return found


def test_parameters_are_the_published_ones(tmp_path: Path) -> None:
    cases = [
        {"fields": GPT2, "vocab": 50_257, "layout": {}},
        {"fields": LLAMA3, "vocab": 128_256, "layout": {}},
        {"fields": LLAMA3, "vocab": 128_256, "layout": {"tensor": 8, "pipeline": 4, "virtual": 2, "sequence": True}},
    ]
    found = on_ranks(count, 1, tmp_path, groups=1, cases=cases, built=[])[0]["forecast"]
    assert found[0] == [124_439_808]
    assert found[1] == [8_030_261_248]
    vectors = 4096 * (2 * 32 + 1)  # norms are whole on every tensor rank
    assert sum(found[2]) == (8_030_261_248 - vectors) // 8 + vectors


@pytest.mark.slow
def test_forecast_is_the_model_that_is_built(tmp_path: Path) -> None:
    small = {"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, "qk_norm": True}
    layouts: list[dict[str, Any]] = [{"tensor": 2, "pipeline": 2}, {"tensor": 2, "pipeline": 2, "virtual": 2}]
    cases = [{"fields": {**small, "tied_embeddings": tied}, "vocab": 211, "layout": layout} for layout in layouts for tied in (True, False)]
    ranks = on_ranks(count, 4, tmp_path, groups=len(cases), cases=cases, built=cases)
    for number in range(len(cases)):
        assert [ranks[rank]["built"][number] for rank in (0, 2)] == ranks[0]["forecast"][number]  # tensor ranks first


def test_bad_shapes_are_told() -> None:
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 4"):
        CausalDecoder(width=10, heads=4)
    with pytest.raises(ValueError, match="heads 4 is not a multiple of kv_heads 3"):
        CausalDecoder(width=16, heads=4, kv_heads=3)
    with pytest.raises(ValueError, match="layers is 0; it is 1 or more"):
        CausalDecoder(layers=0)


def test_flops_are_counted_by_hand() -> None:
    """One layer, one head of 2, length 3: causal scores and values cost 4 · 2 · 3 / 2 forward a token, three times that in all."""
    assert CausalDecoder(layers=1, width=2, heads=1).flops_per_token(100, 3) == 6 * 100 + 3 * (4 * 2 * 3 / 2)


def test_components_import_nothing_heavy() -> None:
    modules = "architecture.decoder objective.causal_lm optimizer.adam optimizer.muon schedule.warmup parallel.megatron"
    modules += " precision.floats kernel.local kernel.transformer_engine stage.train"
    imports = "; ".join(f"import modelwright_plugins.{m}" for m in modules.split())
    check = f"import sys; {imports}; print(*{{'torch', 'megatron', 'numpy', 'datatrove', 'transformers'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip() == ""
