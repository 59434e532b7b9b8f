"""Next-token prediction on a hand-worked batch."""

from __future__ import annotations

import numpy as np
import torch

from modelwright_plugins.objective import Passage
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def test_each_token_predicts_the_next_and_documents_are_apart() -> None:
    text = np.array([5, 6, 0, 7, 8, 0, 9])  # 0 ends a document, and begins what is predicted of the next one
    inputs = CausalLM().example(Passage((text,), 6, Vocabulary(10, 0), np.random.default_rng(0)))
    assert inputs["input_ids"].tolist() == [5, 6, 0, 7, 8, 0]
    assert inputs["labels"].tolist() == [6, 0, 7, 8, 0, 9]
    assert inputs["position_ids"].tolist() == [0, 1, 0, 1, 2, 0]
    assert inputs["attention_mask"].tolist() == [[0, 1], [0, 2], [2, 3], [2, 4], [2, 5], [5, 6]]


def test_loss_is_a_sum_and_a_count_of_targets() -> None:
    labels = torch.tensor([[1, 2], [3, -1]])
    total, count = CausalLM().loss(torch.tensor([[1.0, 2.0], [3.0, 4.5]]), {"labels": labels})
    assert (total.item(), count.item()) == (6.0, 3)
