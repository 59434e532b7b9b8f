"""What it promises, and a case worked by hand."""

import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.optimizer.optimizer import SignDescent


def test_it_holds_what_an_optimizer_promises():
    assert_conforms("optimizer/example")


def test_two_steps_by_hand():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = SignDescent(lr=0.1, momentum=0.9, weight_decay=0.5).build([{"params": [weight], "role": "matrix"}])
    weight.grad = torch.tensor([3.0, -1.0])
    optimizer.step()
    # decay by 1 - 0.1 * 0.5, then 0.1 along the sign of the momentum, which is 0.1 * gradient
    torch.testing.assert_close(weight.detach(), torch.tensor([0.95 - 0.1, -1.9 + 0.1]))
    weight.grad = torch.tensor([-2.0, 1.0])
    optimizer.step()
    # momentum: 0.9 * 0.3 - 0.1 * 2 > 0, and 0.9 * -0.1 + 0.1 * 1 > 0
    torch.testing.assert_close(weight.detach(), torch.tensor([0.85 * 0.95 - 0.1, -1.8 * 0.95 - 0.1]))
