"""What it promises, and a distribution cut by hand."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.generator.generator import Epsilon


def test_it_holds_what_a_generator_promises():
    assert_conforms("generator/example")


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [
        (0.0, [0.5, 0.3, 0.15, 0.05]),
        (0.1, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0]),
        (0.2, [0.5 / 0.8, 0.3 / 0.8, 0.0, 0.0]),
        (0.9, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_cut_by_hand(epsilon, expected):
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    torch.testing.assert_close(Epsilon(epsilon=epsilon).probabilities(logits), torch.tensor([expected]))
