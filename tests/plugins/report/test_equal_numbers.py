"""Numbers that are the same, or differ in the last bits: which models are compared, and which is the best."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.pipeline.scores import _row
from modelwright_plugins.report import over_training
from modelwright_plugins.report.quantization import against_bits


def quantized(original: float) -> dict[str, Any]:
    return {"bits": 4.0, "held_out": {"original": original, "quantized": original + 0.1, "kl": 0.01}}


def test_one_model_in_two_layouts_is_one_model() -> None:
    """Its loss is summed in another order; another model's is further away."""
    models = [("gptq", quantized(2.0)), ("split", quantized(2.0 * (1 + 1e-6))), ("qat", quantized(1.99))]
    drawn = against_bits(models, "kl")
    assert [name in drawn for name, _ in models] == [True, True, False]


@pytest.mark.parametrize(("values", "best"), [([1, 1], [False, False]), ([1], [False]), ([1, 2, 2], [False, True, True])])
def test_where_all_are_alike_none_is_best(values: list[float], best: list[bool]) -> None:
    """Of phases, and of a model's checkpoints."""
    score = {"evaluator": "e", "name": "n", "better": "higher", "count": 3}
    scores = [score | {"value": value, "low": value, "high": value} for value in values]
    assert [cell and cell.best for cell in _row("e", "n", "higher", scores).cells] == best
    (row,) = over_training.rows([{"step": step, "scores": [one]} for step, one in enumerate(scores)])
    assert [cell["best"] for cell in row["cells"]] == best
