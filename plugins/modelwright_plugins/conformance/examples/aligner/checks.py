"""What it promises, and the formula of the paper."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.aligner.aligner import SLiC


def test_it_holds_what_an_aligner_promises():
    assert_conforms("aligner/example")


def test_it_is_the_formula():
    nats = torch.tensor([[9.0, 0.5, 0.5], [9.0, 1.0, 0.6], [9.0, 3.0, 2.0], [9.0, 1.0, 1.0]])  # the first token is the prompt's
    inputs = {"loss_mask": torch.tensor([[0.0, 1.0, 1.0]] * 4)}
    total, count = SLiC(margin=1.0).loss(nats, inputs)
    assert count == 2
    assert total.item() == pytest.approx((1 - (1.6 - 1.0)) + (1 + (5.0 - 2.0)), rel=1e-5)
