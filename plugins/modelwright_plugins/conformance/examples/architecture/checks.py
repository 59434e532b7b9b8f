"""What it promises, and its activation by hand."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.conformance.examples.architecture.architecture import PowerReLU


def test_it_holds_what_an_architecture_promises():
    assert_conforms("architecture/example")


@pytest.mark.parametrize(("power", "expected"), [(1, [0.0, 0.0, 0.5, 3.0]), (2, [0.0, 0.0, 0.25, 9.0]), (3, [0.0, 0.0, 0.125, 27.0])])
def test_its_activation_by_hand(power, expected):
    config = PowerReLU(layers=1, width=8, heads=2, power=power).transformer_config()
    assert config.activation_func(torch.tensor([-2.0, 0.0, 0.5, 3.0])).tolist() == expected


def test_the_rest_is_the_decoders():
    ours = PowerReLU(layers=1, width=8, heads=2).transformer_config()
    theirs = CausalDecoder(layers=1, width=8, heads=2, activation="relu").transformer_config()
    assert [name for name, value in vars(theirs).items() if not callable(value) and vars(ours)[name] != value] == []
