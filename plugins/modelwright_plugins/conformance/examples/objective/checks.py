"""What it promises, and the formula of the paper."""

import math

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.objective.objective import Focal


def test_it_holds_what_an_objective_promises():
    assert_conforms("objective/example")


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
def test_it_is_the_formula(gamma):
    chances = [0.9, 0.5, 0.01]  # that the model gives to the right tokens
    total, count = Focal(gamma=gamma).loss(torch.tensor([[-math.log(p) for p in chances]]), {})
    assert count == 3
    assert total.item() == pytest.approx(sum(-((1 - p) ** gamma) * math.log(p) for p in chances), rel=1e-5)
