"""Next-token prediction on a hand-worked batch."""

from __future__ import annotations

import torch

from modelwright_plugins.objective.causal_lm import CausalLM


def test_each_token_predicts_the_next() -> None:
    inputs = CausalLM().inputs(torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4]]))
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [1, 2, 3]]
    assert inputs["labels"].tolist() == [[6, 7, 8], [2, 3, 4]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_loss_is_a_sum_and_a_count() -> None:
    total, count = CausalLM().loss(torch.tensor([[1.0, 2.0], [3.0, 4.5]]), {})
    assert (total.item(), count.item()) == (10.5, 4)
