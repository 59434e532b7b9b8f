"""What it promises, and which weights it trains."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.adapter.adapter import SomeWeights


@pytest.mark.parametrize("which", ["biases_and_norms", "norms"])
def test_it_holds_what_an_adapter_promises(which):
    assert_conforms("adapter/example", which=which)


def test_which_weights_it_trains():
    model = torch.nn.ModuleDict({"layer": torch.nn.Linear(2, 2), "norm": torch.nn.LayerNorm(2)})
    SomeWeights(which="norms").apply([model], seed=1)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["norm.weight", "norm.bias"]
    SomeWeights().apply([model], seed=1)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["layer.bias", "norm.weight", "norm.bias"]
