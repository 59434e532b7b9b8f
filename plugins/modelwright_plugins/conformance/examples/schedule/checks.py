"""What it promises, and the same from torch's own scheduler."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.schedule.schedule import StepDecay


def test_it_holds_what_a_schedule_promises():
    assert_conforms("schedule/example")


def test_it_is_torchs_multistep_schedule():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[4, 6], gamma=0.1)
    ours = StepDecay(at=(0.5, 0.75), gamma=0.1)
    for step in range(1, 9):
        assert ours.factor(step, 8) == pytest.approx(theirs.get_last_lr()[0]), step
        optimizer.step()
        theirs.step()
