"""What training would need: parameters counted on the modules that each rank would build, memory and operations by formula."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from modelwright_plugins.architecture import Architecture
from modelwright_plugins.engine.model import build
from modelwright_plugins.engine.optimizer import role_of
from modelwright_plugins.engine.start import find_device, laid_out
from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.parallel import Parallel
from modelwright_plugins.precision import Precision

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.stage.train import Train


def forecast(stage: Train, parts: Parts, *, ranks: int) -> dict[str, str]:
    """Label -> value, for `modelwright plan`."""
    layout, architecture = parts["parallel"], parts["architecture"]
    options = {
        "precision": parts["precision"],
        "kernel": parts["kernel"],
        "vocab_size": parts["tokenizer"].vocab_size,
        "sequence_length": stage.sequence_length,
    }
    whole = sizes(architecture, type(layout)(), 0, **options)
    held = [sizes(architecture, layout, place, **options) for place in range(layout.pipeline)]
    data = ranks // (layout.tensor * layout.pipeline)
    heaviest = max(range(layout.pipeline), key=lambda place: sum(memory(stage, parts, held[place], place, data).values()))
    need = memory(stage, parts, held[heaviest], heaviest, data)
    total = sum(whole.values())
    multiplied = sum(n for name, n in whole.items() if _multiplied(name, architecture))
    flops = architecture.flops_per_token(multiplied, stage.sequence_length)
    tokens = stage.steps * stage.global_batch * stage.sequence_length
    counts = sorted({sum(each.values()) for each in held})
    return {
        "ranks": f"{ranks} = data {data} x tensor {layout.tensor} x pipeline {layout.pipeline}",
        "parameters": f"{total:,}",
        "parameters a rank": " to ".join(f"{n:,}" for n in ([counts[0], counts[-1]] if len(counts) > 1 else counts)),
        "memory a rank, at most": f"{_gib(sum(need.values()))} = " + " + ".join(f"{name} {_gib(size)}" for name, size in need.items()),
        "FLOPs a token": f"{flops:.3g}",
        "tokens": f"{tokens:,} = {stage.steps:,} steps x {stage.global_batch} sequences x {stage.sequence_length}",
        "FLOPs in total": f"{flops * tokens:.3g}",
        "micro-batches a step": f"{stage.global_batch // (stage.micro_batch * data)}",
    }


def sizes(architecture: Architecture, layout: Parallel, place: int, **options: Any) -> dict[str, int]:
    """Elements of each parameter that a rank of pipeline stage `place` holds, by "role name": built by the same code as in
    training, on torch's meta device, which keeps shapes and no values, in a process group that only pretends."""
    find_device()
    with _pretended(layout.tensor * layout.pipeline, rank=layout.tensor * place), laid_out(layout, seed=0), _on_meta():
        chunks = build(architecture, parallel=layout, **options)
    return {f"{role_of(p)} {i}.{name}": p.numel() for i, chunk in enumerate(chunks) for name, p in chunk.named_parameters()}


def memory(stage: Train, parts: Parts, held: dict[str, int], place: int, data: int) -> dict[str, float]:
    """Bytes on a rank of pipeline stage `place`."""
    precision: Precision = parts["precision"]
    optimizer: Optimizer = parts["optimizer"]
    weight, gradient, main = precision.bytes_per_parameter()
    share = data if parts["parallel"].distributed_optimizer else 1
    count = sum(held.values())
    state = sum(n * optimizer.state_bytes(name.split()[0]) for name, n in held.items()) + count * main
    return {
        "weights": count * weight,
        "gradients": count * gradient,
        "optimizer": state / share,
        "activations": activations(stage, parts, place, data),
    }


def activations(stage: Train, parts: Parts, place: int, data: int) -> float:
    """Bytes of activations kept for the backward pass on a rank of pipeline stage `place`.

    Counted as in Korthikanti et al. 2022 (arXiv:2205.05198), section 4, for attention that keeps no scores (its
    recomputation there, section 5): a layer keeps the inputs and outputs of both norms on every tensor rank (its share
    with sequence parallelism), and its part of queries, keys, values, attention's output, and the feed-forward layer.
    A stage holds the micro-batches in flight (section 4.2.3, equation 5 for interleaving).
    """
    layout, a = parts["parallel"], parts["architecture"]
    width = parts["precision"].bytes_per_parameter()[0]
    tensor, pipeline, virtual = layout.tensor, layout.pipeline, layout.virtual or 1
    tokens = stage.micro_batch * stage.sequence_length
    whole = tensor if layout.settings().get("sequence_parallel") else 1
    head = getattr(a, "head_dim", None) or a.width // a.heads
    feed_forward = getattr(a, "feed_forward_size", 4 * a.width)
    gated = getattr(a, "activation", "") == "swiglu"
    a_layer = tokens * width * (4 * a.width / whole + (2 * a.heads + 2 * (a.kv_heads or a.heads)) * head / tensor)
    a_layer += tokens * width * (3 if gated else 2) * feed_forward / tensor
    if layout.settings().get("recompute_granularity") == "full":
        a_layer = tokens * width * a.width / whole
    in_flight = min(pipeline - place, stage.global_batch // (stage.micro_batch * data))
    interleaved = 1 + (pipeline - 1) / (pipeline * virtual) if virtual > 1 else 1
    kept = a_layer * a.layers / pipeline * in_flight * interleaved
    if place == pipeline - 1:  # logits in FP32 and their softmax
        kept += tokens * 8 * parts["tokenizer"].vocab_size / tensor
    return float(kept)


@contextmanager
def _pretended(ranks: int, rank: int) -> Iterator[None]:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _on_meta() -> Iterator[None]:
    """Megatron asks `torch.cuda.current_device()` where to put weights, and moves tied embeddings with `.cuda()`."""
    current, move = torch.cuda.current_device, torch.Tensor.cuda
    torch.cuda.current_device = lambda: torch.device("meta")  # type: ignore[assignment, return-value]
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.cuda.current_device, torch.Tensor.cuda = current, move  # type: ignore[method-assign]


def _multiplied(name: str, architecture: Architecture) -> bool:
    """Whether tokens are multiplied by it; an embedding is looked up, unless it is the output matrix too."""
    return "position_embeddings" not in name and ("word_embeddings" not in name or architecture.tied_embeddings)


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"
