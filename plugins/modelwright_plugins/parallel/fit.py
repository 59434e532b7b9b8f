"""Whether a model, its sequences and its batch can be divided as a layout says, in arithmetic that names what would divide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.parallel.megatron import Megatron


def misfits(
    layout: Megatron, architecture: Architecture, *, data: int, global_batch: int, micro_batch: int, sequence_length: int
) -> list[str]:
    """Why the model and batch can't be spread so over `data` data ranks, one line each."""
    return [
        *_matrices(layout, architecture),
        *_sequences(layout, sequence_length),
        *_layers(layout, architecture.layers),
        *_experts(layout, architecture, data),
        *_shards(layout),
        *_batch(layout, data, global_batch, micro_batch),
    ]


def _matrices(layout: Megatron, a: Architecture) -> list[str]:
    split = {
        "architecture.heads": a.heads,
        "architecture.kv_heads": a.kv_heads or a.heads,
        "architecture.feed_forward": getattr(a, "feed_forward_size", 0),
    }
    if whole := [f"{key}={value}" for key, value in split.items() if value % layout.tensor]:
        best = _nearest_divisor(layout.tensor, math.gcd(*split.values()))
        return [f"parallel.tensor={layout.tensor} does not divide {', '.join(whole)}; nearest that divides all: {best}"]
    return []


def _sequences(layout: Megatron, length: int) -> list[str]:
    """Each context rank has two parts of a sequence, one from each end; with sequence parallelism its tensor ranks share them out."""
    context, tensor = layout.context, layout.tensor if layout.sequence else 1
    if context > 1 and length % (multiple := math.lcm(2 * context, context * tensor)):
        said = f"parallel.context={context}" + (f" x parallel.tensor={tensor} with sequence parallelism" if tensor > 1 else "")
        best = _nearest_multiple(length, multiple)
        return [f"{said} wants train.sequence_length in multiples of {multiple}, and it is {length}; nearest that works: {best}"]
    if context == 1 and length % tensor:
        best = _nearest_divisor(tensor, length)
        return [f"parallel.tensor={tensor} does not divide train.sequence_length={length}; nearest that divides all: {best}"]
    return []


def _layers(layout: Megatron, layers: int) -> list[str]:
    pipeline, virtual = layout.pipeline, layout.virtual or 1
    ends = {f"parallel.{n}": v for n in ("first_stage_layers", "last_stage_layers") if (v := getattr(layout, n)) is not None}
    if pipeline == 1:
        single = {"parallel.virtual": layout.virtual, **ends}
        return [f"{key}={value} needs parallel.pipeline of 2 or more, which is 1" for key, value in single.items() if value is not None]
    if not ends:
        if virtual == 1 and layers % pipeline:
            best = _nearest_divisor(pipeline, layers)
            return [
                f"parallel.pipeline={pipeline} does not divide architecture.layers={layers}; nearest that does: {best}, "
                "or set parallel.first_stage_layers or parallel.last_stage_layers"
            ]
        if layers % (chunks := pipeline * virtual):
            best = _nearest_multiple(layers, chunks)
            return [
                f"parallel.pipeline={pipeline} x parallel.virtual={virtual} does not divide architecture.layers={layers}; "
                f"nearest that does: architecture.layers={best}"
            ]
        return []
    said = " and ".join(f"{key}={value}" for key, value in ends.items())
    if uneven := [f"{key}={value}" for key, value in ends.items() if value % virtual]:
        return [f"parallel.virtual={virtual} does not divide {' and '.join(uneven)}"]
    left, stages = layers - sum(ends.values()), pipeline - len(ends)
    if stages == 0 and left:
        return [f"{said} make {layers - left} layers, and architecture.layers={layers}; leave one of them null"]
    if stages and (left <= 0 or left % (stages * virtual)):
        each = f"{stages} other pipeline rank{'s' if stages > 1 else ''}" + (f" x parallel.virtual={virtual}" if virtual > 1 else "")
        return [
            f"{said} leave {left} of architecture.layers={layers} for {each}; it must be a multiple of {stages * virtual} from there up"
        ]
    return []


def _experts(layout: Megatron, a: Architecture, data: int) -> list[str]:
    experts: int | None = getattr(a, "experts", None)
    expert, split = layout.expert, layout.expert_tensor or layout.tensor
    if experts is None:
        told = {"parallel.expert": expert if expert > 1 else None, "parallel.expert_tensor": layout.expert_tensor}
        return [f"{key}={value}: the architecture has no experts" for key, value in told.items() if value is not None]
    found = []
    if layout.tensor > 1 and not layout.sequence:  # a router would count each token on every tensor rank
        found.append(f"parallel.tensor={layout.tensor} with experts needs parallel.sequence=true")
    if experts % expert:
        best = _nearest_divisor(expert, experts)
        found.append(f"parallel.expert={expert} does not divide architecture.experts={experts}; nearest that does: {best}")
    size: int = getattr(a, "expert_feed_forward_size", 0)
    if size % split:
        best = _nearest_divisor(split, size)
        found.append(f"parallel.expert_tensor={split} does not divide the experts' feed-forward size {size}; nearest that does: {best}")
    there = layout.tensor * layout.context * data
    if there % (expert * split):
        found.append(
            f"parallel.expert={expert} x {split} expert tensor ranks does not divide tensor {layout.tensor} x context {layout.context} x "
            f"data {data} = {there} ranks; nearest that does: parallel.expert={_nearest_divisor(expert, max(1, there // split))}"
        )
    return found


def _shards(layout: Megatron) -> list[str]:
    if not layout.fully_sharded:
        return []
    others = {"pipeline": layout.pipeline, "expert": layout.expert}
    return [f"parallel.fully_sharded=true wants parallel.{key}=1, which is {value}" for key, value in others.items() if value > 1]


def _batch(layout: Megatron, data: int, batch: int, micro: int) -> list[str]:
    share, pipeline = data * micro, layout.pipeline
    if batch % share:
        return [
            f"train.global_batch={batch} is not a multiple of train.micro_batch={micro} x {data} data ranks; "
            f"{_smaller(micro, batch, data, pipeline if layout.virtual else 1)}"
        ]
    if layout.virtual is not None and (count := batch // share) % pipeline:
        return [
            f"parallel.virtual={layout.virtual} wants micro-batches in multiples of parallel.pipeline={pipeline}, "
            f"and there are {count}; {_smaller(micro, batch, data, pipeline)}"
        ]
    return []


def _smaller(micro: int, batch: int, data: int, multiple: int) -> str:
    """The change that leaves what is learned as it is, a smaller micro-batch, or else the nearest global batch."""
    for size in range(micro, 0, -1):
        if batch % (size * data * multiple) == 0:
            return f"nearest that works: train.micro_batch={size}"
    return f"nearest that works: train.global_batch={_nearest_multiple(batch, data * multiple)} with train.micro_batch=1"


def _nearest_divisor(value: int, total: int) -> int:
    return min((d for d in range(1, total + 1) if total % d == 0), key=lambda d: (abs(d - value), d))


def _nearest_multiple(value: int, of: int) -> int:
    return max(of, round(value / of) * of)
