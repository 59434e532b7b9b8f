"""What it promises, and its norms by formula."""

import pytest
import torch
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.kernel._kernel import WiderNorm


@pytest.mark.parametrize("format", ["fp32", "fp64"])
def test_it_holds_what_a_kernel_promises(format):
    assert_conforms("kernel/example", format=format)


@pytest.mark.parametrize("normalization", ["LayerNorm", "RMSNorm"])
def test_its_norms_by_formula(normalization):
    config = TransformerConfig(num_layers=1, hidden_size=8, num_attention_heads=2, normalization=normalization)
    norm = WiderNorm(config, 8, 1e-3)
    x = torch.randn(3, 8, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0))
    wide = x.double()
    centred = wide - wide.mean(-1, keepdim=True) if normalization == "LayerNorm" else wide
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x), expected.bfloat16(), rtol=0, atol=0)
