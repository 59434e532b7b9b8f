"""What it promises, and what torch says of its formats."""

import pytest
import torch

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.precision.precision import SmallGradients


@pytest.mark.parametrize("exact", [True, False])
def test_it_holds_what_a_precision_promises(exact):
    assert_conforms("precision/example", grad_reduce_fp32=exact)


def test_bytes_are_torchs():
    weight, gradient, main = SmallGradients().bytes_per_parameter()
    assert weight == gradient == torch.zeros(1, dtype=SmallGradients().dtype()).nbytes
    assert main == torch.zeros(1).nbytes
