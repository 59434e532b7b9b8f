"""What Transformer Engine's attention is told of documents, prefixes and biases: held against the formula with a stand-in for it, which
does what its documentation says of 'thd', 'arbitrary' and the other masks. The real one needs a GPU (docs/gpu.md)."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.errors import ModelwrightError
from modelwright_plugins.attention._packed import DocumentsApart, documents
from modelwright_plugins.engine.attention import Reference
from modelwright_plugins.objective.visible import seen

LENGTH, BATCH, HEADS, KV_HEADS, KEY, VALUE = 12, 2, 4, 2, 8, 6


def rows(*groups: list[int], causal: bool) -> torch.Tensor:
    return torch.from_numpy(np.stack([seen(np.array(each), causal=causal) for each in groups]))


@pytest.mark.parametrize("causal", [True, False])
def test_documents_by_hand(causal: bool) -> None:
    visible = rows([0, 0, 0, 1, 2, 2], [5, 5, 5, 5, 5, 5], causal=causal)
    found = documents(visible, causal=causal)
    assert found is not None
    assert found.starts.tolist() == [0, 3, 4, 6, 12] and found.starts.dtype == torch.int32
    assert found.longest == 6
    assert documents(visible, causal=not causal) is None


@pytest.mark.parametrize("causal", [True, False])
def test_documents_of_random_lengths(causal: bool) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        groups = [list(np.cumsum(random.random(LENGTH) < random.random())) for _ in range(3)]
        lengths = [groups[row].count(group) for row in range(3) for group in dict.fromkeys(groups[row])]
        found = documents(rows(*groups, causal=causal), causal=causal)
        assert found is not None and found.starts.diff().tolist() == lengths and found.longest == max(lengths)


def test_what_is_more_than_documents_is_told_from_them() -> None:
    place = torch.arange(6)
    causal = torch.stack([torch.zeros_like(place), place + 1], 1)[None]
    assert documents(causal, causal=True) is not None
    prefix = torch.stack([torch.zeros_like(place), (place + 1).clamp(min=3)], 1)[None]
    window = torch.stack([(place - 2).clamp(min=0), place + 1], 1)[None]
    hole = causal.clone()
    hole[0, 4, 0] = 2  # it sees a part of its document
    for other in (prefix, window, hole, torch.full_like(causal, 0)):
        assert documents(other, causal=True) is None and documents(other, causal=False) is None


class StandIn(torch.nn.Module):
    """Transformer Engine's attention as its pages have it, in FP64 and slow."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, self.asked = config, list[tuple[str, str]]()

    def forward(
        self, query: Any, key: Any, value: Any, mask: Any, kind: AttnMaskType, bias: Any = None, packed: Any = None
    ) -> torch.Tensor:
        self.asked.append((packed.qkv_format if packed else "sbhd", kind.name))
        if packed is None:
            q, k, v = (t.transpose(0, 1) for t in (query, key, value))
            return self.attended(q, k, v, mask, kind, bias).transpose(0, 1)
        assert mask is None and bias is None and packed.max_seqlen_q == packed.max_seqlen_kv == packed.cu_seqlens_q.diff().max()
        cut = packed.cu_seqlens_q.tolist()
        assert cut == packed.cu_seqlens_kv.tolist() and cut[-1] == len(query)
        parts = ([t[a:b][None] for t in (query, key, value)] for a, b in itertools.pairwise(cut))
        return torch.cat([self.attended(*part, None, kind, None)[0] for part in parts])

    def attended(self, q: Any, k: Any, v: Any, unseen: Any, kind: AttnMaskType, bias: Any) -> torch.Tensor:
        """[batch, length, heads, size] -> [batch, length, heads * size]."""
        repeat = q.shape[2] // k.shape[2]
        k, v = (t.repeat_interleave(repeat, 2).double() for t in (k, v))
        scores = torch.einsum("bqhd,bkhd->bhqk", q.double(), k) * q.shape[3] ** -0.5 + (0 if bias is None else bias.double())
        if kind == AttnMaskType.causal:
            assert unseen is None
            unseen = ~torch.ones(scores.shape[2:], dtype=torch.bool).tril()
        elif kind == AttnMaskType.no_mask:
            assert unseen is None
            unseen = torch.zeros(scores.shape[2:], dtype=torch.bool)
        else:
            assert kind == AttnMaskType.arbitrary and unseen.shape[2:] == scores.shape[2:]
        if self.config.window_size and kind != AttnMaskType.arbitrary:
            far = torch.arange(scores.shape[3]) < torch.arange(scores.shape[2])[:, None] - self.config.window_size[0]
            unseen = unseen | far
        return torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(unseen, -torch.inf).softmax(-1), v).flatten(2)


class Ours(DocumentsApart, StandIn):
    pass


def compare(kind: AttnMaskType, visible: Any, *, keys: int = LENGTH, bias: Any = None, window: Any = None) -> tuple[str, str]:
    """How Transformer Engine was asked, its answer and gradients being those of the formula."""
    config = TransformerConfig(
        num_layers=1,
        hidden_size=HEADS * KEY,
        num_attention_heads=HEADS,
        num_query_groups=KV_HEADS,
        attention_dropout=0.0,
        window_size=window,
    )
    random = torch.Generator().manual_seed(0)
    shapes = ((LENGTH, BATCH, HEADS, KEY), (keys, BATCH, KV_HEADS, KEY), (keys, BATCH, KV_HEADS, VALUE))
    inputs = [torch.randn(shape, generator=random, requires_grad=True) for shape in shapes]
    ours = Ours(config)
    cross = kind == AttnMaskType.padding
    theirs = Reference(config, 1, kind, "cross" if cross else "self")
    found = [core(*inputs, visible, attn_mask_type=kind, attention_bias=bias) for core in (ours, theirs)]
    assert found[0].shape == (LENGTH, BATCH, HEADS * VALUE)
    weights = torch.randn(found[0].shape, generator=random)
    gradients = [torch.autograd.grad((out * weights).sum(), inputs) for out in found]
    torch.testing.assert_close(found[0].float(), found[1], rtol=0, atol=1e-5)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    (asked,) = ours.asked
    return asked


APART = ([0] * 5 + [1] + [2] * 6, [0] * 3 + [1] * 9)
PREFIX = torch.stack([torch.zeros(LENGTH), (torch.arange(LENGTH) + 1).clamp(min=5)], 1).long().expand(BATCH, -1, -1)
BIAS = torch.randn(1, HEADS, LENGTH, LENGTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("kind", "visible", "how", "asked"),
    [
        (AttnMaskType.causal, None, {}, ("sbhd", "causal")),
        (AttnMaskType.no_mask, None, {}, ("sbhd", "no_mask")),
        (AttnMaskType.causal, rows(*APART, causal=True), {}, ("thd", "causal")),
        (AttnMaskType.no_mask, rows(*APART, causal=False), {}, ("thd", "no_mask")),
        (AttnMaskType.causal, PREFIX, {}, ("sbhd", "arbitrary")),
        (AttnMaskType.no_mask, PREFIX, {}, ("sbhd", "arbitrary")),
        (AttnMaskType.causal, None, {"bias": BIAS}, ("sbhd", "causal")),
        (AttnMaskType.causal, rows(*APART, causal=True), {"bias": BIAS}, ("sbhd", "arbitrary")),
        (AttnMaskType.causal, rows(*APART, causal=True), {"window": (3, 0)}, ("thd", "causal")),
        (AttnMaskType.causal, PREFIX, {"window": (3, 0)}, ("sbhd", "arbitrary")),
        (AttnMaskType.padding, None, {"keys": 7}, ("sbhd", "no_mask")),
        (AttnMaskType.padding, rows(*APART, causal=False).clamp(max=7), {"keys": 8}, ("sbhd", "arbitrary")),
    ],
)  # fmt: skip
def test_it_is_asked_for_what_the_formula_gives(kind: AttnMaskType, visible: Any, how: dict[str, Any], asked: tuple[str, str]) -> None:
    if how.get("keys") == 8:
        visible = visible.clone()
        visible[..., 0].clamp_(max=6)  # every query sees some key
    assert compare(kind, visible, **how) == asked


def test_documents_that_context_ranks_split_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelwright_plugins.engine import context

    monkeypatch.setattr(context, "ranks", lambda: 2)
    with pytest.raises(ModelwrightError, match="attention=sdpa can"):
        Ours(SimpleNamespace())(*[torch.zeros(4, 1, 2, 8)] * 3, rows([0, 0, 1, 1], causal=True), AttnMaskType.causal)


def test_every_layer_of_a_batch_shares_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import modelwright_plugins.attention._packed as packed

    counted: list[int] = []
    monkeypatch.setattr(packed, "documents", lambda visible, causal: counted.append(1) or documents(visible, causal=causal))
    visible, q = rows([0, 0, 1, 1], causal=True), torch.randn(4, 1, 2, 8)
    for _ in range(3):
        Ours(TransformerConfig(num_layers=1, hidden_size=16, num_attention_heads=2))(q, q, q, visible, AttnMaskType.causal)
    assert len(counted) == 1
