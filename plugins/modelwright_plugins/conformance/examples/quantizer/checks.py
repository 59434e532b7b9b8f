"""What it promises, and how far off its weights are."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.quantizer.quantizer import Steps


@pytest.mark.parametrize("range", ["largest", "half"])
def test_it_holds_what_a_quantizer_promises(range):
    assert_conforms("quantizer/example", range=range)


def test_how_far_off_its_weights_are():
    weight = torch.tensor([[0.0, 1.27, -1.27, 0.63]])
    near = Steps().weight(Steps().quantized(weight, None))
    assert torch.allclose(near, weight, atol=0.005)
    cut = Steps(range="half")
    assert torch.allclose(cut.weight(cut.quantized(weight, None)), weight.clamp(-0.635, 0.635), atol=0.0025)
