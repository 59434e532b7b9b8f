"""Memory and parameters that are forecast, against counts by hand."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.engine.memory import Held, activations, memory
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.optimizer.soap import SOAP
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import BF16, FP32
from modelwright_plugins.stage.train import Train

STAGE = Train(steps=1, sequence_length=64, global_batch=8, micro_batch=2)
DENSE = CausalDecoder(layers=4, width=32, heads=4, kv_heads=2, feed_forward=96)
MIXTURE = CausalDecoder(layers=4, width=32, heads=4, kv_heads=2, feed_forward=96, experts=8, expert_feed_forward=64)


class Tokens:
    vocab_size = 211


def parts(layout: dict[str, Any], architecture: CausalDecoder = DENSE, **others: Any) -> Any:
    given = {"architecture": architecture, "parallel": Megatron(**layout), "precision": FP32(), "optimizer": AdamW(), "tokenizer": Tokens()}
    return given | others


@pytest.mark.parametrize(
    ("layout", "data", "weights", "gradients", "optimizer"),
    [
        ({}, 1, 1100, 1100, 1100),
        ({}, 4, 1100, 1100, 1100),
        ({"distributed_optimizer": True}, 4, 1100, 1100, 275),
        ({"distributed_optimizer": True, "context": 2}, 2, 1100, 1100, 275),
        ({"fully_sharded": True}, 4, 275 + 1000, 275, 275),  # a rank's quarter, and a layer that is gathered
        # the same expert is on the half of the ranks that have the same dense weights
        ({"distributed_optimizer": True, "expert": 2}, 4, 1100, 1100, 1000 / 4 + 100 / 2),
        ({"distributed_optimizer": True, "expert": 2, "tensor": 2, "expert_tensor": 1}, 2, 1100, 1100, 1000 / 2 + 100 / 2),
    ],
)
def test_what_ranks_share_out(layout: dict[str, Any], data: int, weights: float, gradients: float, optimizer: float) -> None:
    held = {"matrix 0.decoder.layers.0.a": Held(1000, (10, 100)), "matrix 0.decoder.mlp.experts.b": Held(100, (10, 10))}
    found = memory(STAGE, parts(layout), held, 0, data)
    assert (found["weights"], found["gradients"], found["optimizer"]) == (4 * weights, 4 * gradients, 8 * optimizer)


def test_what_an_optimizer_keeps_of_whole_matrices_is_counted() -> None:
    held = {"matrix 0.a": Held(50, (10, 10))}  # one of two tensor ranks has this half
    plain, soap = (memory(STAGE, parts({"tensor": 2}, optimizer=each), held, 0, 1)["optimizer"] for each in (AdamW(), SOAP()))
    assert soap - plain == 2 * 8 * 10**2


def kept(layout: dict[str, Any], architecture: CausalDecoder = DENSE, place: int = 0, data: int = 1) -> float:
    """Elements a token of a micro-batch (of a rank that computes no loss)."""
    found = activations(STAGE, parts({"pipeline": 2, **layout}, architecture, precision=BF16()), place, data)
    return found / (2 * STAGE.micro_batch * STAGE.sequence_length)


def test_activations_by_hand() -> None:
    # 4 ends of two norms; queries and output of 4 heads and keys and values of 2, of 8 each; gate, up and their product
    norms, attention, feed_forward = 4 * 32, 2 * 32 + 2 * 16, 3 * 96
    layer = norms + attention + feed_forward
    in_flight = 2 * 2  # layers of the first of two stages, and micro-batches that it has begun
    assert kept({}) == in_flight * layer
    assert kept({"recompute": "full"}) == in_flight * 32
    assert kept({"recompute": "selective"}) == in_flight * (layer - norms / 2)
    assert kept({"first_stage_layers": 1}) == 2 * layer
    assert kept({"tensor": 2}) == in_flight * (norms + attention / 2 + feed_forward / 2)
    assert kept({"tensor": 2, "sequence": True}) == in_flight * layer / 2
    # half of the tokens, but all keys and values
    assert kept({"context": 2}) == in_flight * (norms + 2 * 32 + 2 * (2 * 16) + feed_forward) / 2
    # two experts a token: what goes in and comes out of each, and gate, up and product
    assert kept({}, MIXTURE) == in_flight * (norms + attention + 2 * (2 * 32 + 3 * 64))


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout",
    [{"expert": 2}, {"expert": 4, "context": 2}, {"tensor": 2, "sequence": True, "expert": 2}, {"pipeline": 2, "expert": 2, "data": 2}],
)
def test_experts_are_counted_where_they_are(layout: dict[str, Any]) -> None:
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.forecast import sizes

    options: dict[str, Any] = {"precision": FP32(), "kernel": Torch(), "attention": Native(), "vocab_size": 212, "sequence_length": 64}
    whole = sizes(MIXTURE, Megatron(), 0, **options)
    stages = [sizes(MIXTURE, Megatron(**layout), place, **options) for place in range(layout.get("pipeline", 1))]

    def experts(found: dict[str, int]) -> int:
        return sum(n for name, n in found.items() if ".experts." in name)

    assert experts(whole) == 4 * 8 * 3 * 32 * 64
    split = layout.get("expert", 1) * layout.get("tensor", 1)
    assert sum(map(experts, stages)) * split == experts(whole)
