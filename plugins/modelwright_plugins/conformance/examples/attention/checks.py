"""What it promises, and torch's own attention."""

import pytest
import torch
import torch.nn.functional as F
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.attention.attention import BlockedAttention


@pytest.mark.parametrize("block", [5, 128])
def test_it_holds_what_an_attention_promises(block):
    assert_conforms("attention/example", block=block)


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("causal", [True, False])
def test_it_is_torchs_attention(block, causal):
    length, batch, heads, kv_heads, size = 10, 2, 4, 2, 8
    random = torch.Generator().manual_seed(0)
    q = torch.randn(length, batch, heads, size, generator=random)
    k, v = torch.randn(2, length, batch, kv_heads, size, generator=random)
    config = TransformerConfig(num_layers=1, hidden_size=heads * size, num_attention_heads=heads, attention_dropout=0.0)
    mask = AttnMaskType.causal if causal else AttnMaskType.no_mask
    ours = BlockedAttention(block=block).module(torch.nn.Module)(config, 1, mask, "self")(q, k, v, None)
    theirs = F.scaled_dot_product_attention(*(t.permute(1, 2, 0, 3) for t in (q, k, v)), is_causal=causal, enable_gqa=True)
    torch.testing.assert_close(ours, theirs.permute(2, 0, 1, 3).flatten(2))
