"""What it promises, and its limit by hand."""

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.stability.stability import LargeGradient


def test_it_holds_what_a_stability_promises():
    assert_conforms("stability/example")


@pytest.mark.parametrize(("norm", "spike"), [(0.0, False), (5.0, False), (5.1, True), (float("nan"), True)])
def test_its_limit_by_hand(norm, spike):
    assert bool(LargeGradient(largest=5.0).spike([], 2.0, norm)) is spike
