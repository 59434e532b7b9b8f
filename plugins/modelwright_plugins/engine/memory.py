"""Bytes that training needs on a rank, by formula."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelwright_plugins.parallel import Parallel

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.optimizer import Optimizer
    from modelwright_plugins.precision import Precision
    from modelwright_plugins.stage.train import Train


class Held(NamedTuple):
    """A parameter, as a rank holds it."""

    elements: int  # there
    whole: tuple[int, ...]  # the shape of what tensor ranks split


def memory(stage: Train, parts: Parts, held: Mapping[str, Held], place: int, data: int) -> dict[str, float]:
    """Bytes on a rank of pipeline stage `place`. `held`: the parameters there, by "role name"."""
    precision: Precision = parts["precision"]
    optimizer: Optimizer = parts["optimizer"]
    layout: Parallel = parts["parallel"]
    weight, gradient, main = precision.bytes_per_parameter()
    copies = layout.tensor * layout.context * data  # ranks of this stage
    state = weights = gradients = 0.0
    for name, (n, shape) in held.items():
        # ranks that hold the same numbers: of an expert's matrices there are others than of the rest
        same = copies // (layout.expert * (layout.expert_tensor or layout.tensor)) if is_expert(name) else copies // layout.tensor
        whole = same if layout.fully_sharded else 1
        weights, gradients = weights + n * weight / whole, gradients + n * gradient / whole
        share = same if layout.distributed_optimizer or layout.fully_sharded else 1
        role = name.split()[0]
        state += (n * (optimizer.state_bytes(role) + main) + optimizer.matrix_bytes(role, shape)) / share
    if layout.fully_sharded:  # the part that is gathered at any one time
        weights += max(_units(held).values()) * weight
    return {"weights": weights, "gradients": gradients, "optimizer": state, "activations": activations(stage, parts, place, data)}


def is_expert(name: str) -> bool:
    """Whether a parameter is one of a routed expert's (shared experts are as other layers)."""
    return ".experts." in name


def activations(stage: Train, parts: Parts, place: int, data: int) -> float:
    """Bytes of activations kept for the backward pass on a rank of pipeline stage `place`.

    Counted as in Korthikanti et al. 2022 (arXiv:2205.05198), section 4, for attention that keeps no scores (its
    recomputation there, section 5): a layer keeps the inputs and outputs of both norms on every tensor rank (its share
    with sequence parallelism), and its part of queries, keys, values, attention's output, and the feed-forward layer.
    Context ranks keep their part of all but keys and values, which are gathered. A routed token is kept by each of its
    experts, taken as evenly used. A stage holds the micro-batches in flight (section 4.2.3, equation 5 for interleaving).
    """
    layout, a = parts["parallel"], parts["architecture"]
    width = parts["precision"].bytes_per_parameter()[0]
    tensor, pipeline, virtual = layout.tensor, layout.pipeline, layout.virtual or 1
    tokens = stage.micro_batch * stage.sequence_length // layout.context
    whole = tensor if layout.settings().get("sequence_parallel") else 1
    recomputed = layout.settings().get("recompute_granularity")
    if recomputed == "full":
        a_layer = tokens * width * a.width / whole
    else:
        norms = 2 if recomputed == "selective" else 4
        a_layer = tokens * width * norms * a.width / whole
        queries, keys, latent = _attention(parts)
        a_layer += tokens * width * ((queries + keys * layout.context) / tensor + latent)
        a_layer += tokens * width * _feed_forward(parts) / tensor
    in_flight = min(pipeline - place, stage.global_batch // (stage.micro_batch * data))
    interleaved = 1 + (pipeline - 1) / (pipeline * virtual) if virtual > 1 else 1
    kept = a_layer * layers_of(layout, a.layers, place) * in_flight * interleaved
    if place == pipeline - 1:  # logits in FP32 and their softmax
        kept += tokens * 8 * parts["tokenizer"].vocab_size / tensor
    return float(kept)


def layers_of(layout: Parallel, layers: int, place: int) -> int:
    """Layers that pipeline rank `place` holds."""
    ends = {0: getattr(layout, "first_stage_layers", None), layout.pipeline - 1: getattr(layout, "last_stage_layers", None)}
    told = {stage: n for stage, n in ends.items() if n is not None}
    if place in told:
        return told[place]
    return (layers - sum(told.values())) // (layout.pipeline - len(told))


def _attention(parts: Parts) -> tuple[int, int, int]:
    """Elements kept for a token in a layer's attention: of queries and the output, of keys and values, and, under multi-head latent
    attention, of what every tensor rank has."""
    a = parts["architecture"]
    head = getattr(a, "head_dim", None) or a.width // a.heads
    if (rank := getattr(a, "kv_rank", None)) is None:
        return 2 * a.heads * head, 2 * (a.kv_heads or a.heads) * head, 0
    key, value = head + a.rope_head_dim, a.value_head_dim or head
    return a.heads * (key + value), a.heads * (key + value), rank + a.rope_head_dim + (a.q_rank or 0)


def _feed_forward(parts: Parts) -> float:
    """Elements kept for a token in a layer's feed-forward part: the mean over layers with and without experts."""
    a = parts["architecture"]
    each = 3 if "glu" in getattr(a, "activation", "") else 2
    dense = each * getattr(a, "feed_forward_size", 4 * a.width)
    if getattr(a, "experts", None) is None:
        return float(dense)
    routed = a.experts_per_token * (2 * a.width + each * a.expert_feed_forward_size) + each * (a.shared_expert_feed_forward or 0)
    return float(routed + (dense - routed) * a.first_dense_layers / a.layers)


def _units(held: Mapping[str, Held]) -> dict[str, int]:
    """Elements of each part that is gathered at once: a layer, or what stands outside of the layers."""
    found: dict[str, int] = {}
    for name, (n, _) in held.items():
        layer = re.search(r"layers\.\d+\.", name)
        key = name.split(" ", 1)[1][: layer.end() - name.index(" ") - 1] if layer else name
        found[key] = found.get(key, 0) + n
    return found
