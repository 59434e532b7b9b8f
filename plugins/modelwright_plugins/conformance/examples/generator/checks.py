"""What it promises, and a distribution cut by hand."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.generator.generator import MinP


def test_it_holds_what_a_generator_promises():
    assert_conforms("generator/example")


@pytest.mark.parametrize(
    ("min_p", "expected"),
    [
        (0.0, [0.5, 0.3, 0.15, 0.05]),
        (0.25, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0]),  # at least 0.125
        (0.5, [0.5 / 0.8, 0.3 / 0.8, 0.0, 0.0]),  # at least 0.25
        (1.0, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_cut_by_hand(min_p, expected):
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    torch.testing.assert_close(MinP(min_p=min_p).probabilities(logits), torch.tensor([expected]))
