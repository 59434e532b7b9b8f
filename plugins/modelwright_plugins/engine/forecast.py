"""What training would need: parameters counted on the modules that each rank would build, memory and operations by formula."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch._refs
import torch.distributed as dist

from modelwright_plugins.architecture import Architecture
from modelwright_plugins.engine.light_import import uncompiled
from modelwright_plugins.engine.memory import Held, is_expert, memory
from modelwright_plugins.engine.model import build
from modelwright_plugins.engine.optimizer import role_of
from modelwright_plugins.engine.position import Position
from modelwright_plugins.engine.start import find_device, laid_out
from modelwright_plugins.parallel import Parallel

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.stage.train import Train


def forecast(stage: Train, parts: Parts, *, ranks: int) -> dict[str, str]:
    """Label -> value, for `modelwright plan`."""
    layout, architecture = parts["parallel"], parts["architecture"]
    options = {
        "precision": parts["precision"],
        "kernel": parts["kernel"],
        "attention": parts["attention"],
        "vocab_size": parts["tokenizer"].vocab_size + len(parts["objective"].special_tokens),
        "sequence_length": stage.sequence_length,
    }
    whole = sizes(architecture, type(layout)(), 0, **options)
    there = [held(architecture, layout, place, **options) for place in range(layout.pipeline)]
    data = ranks // (layout.tensor * layout.pipeline * layout.context)
    heaviest = max(range(layout.pipeline), key=lambda place: sum(memory(stage, parts, there[place], place, data).values()))
    need = memory(stage, parts, there[heaviest], heaviest, data)
    total = sum(whole.values())
    multiplied = sum(n * _multiplied(name, architecture) for name, n in whole.items())
    flops = architecture.flops_per_token(round(multiplied), stage.sequence_length)
    sequences = Position.after(stage.steps, stage.ramp()).trained
    tokens = sequences * stage.sequence_length
    counts = sorted({sum(each.elements for each in stage.values()) for stage in there})
    return {
        "ranks": _said(layout, ranks, data),
        "parameters": f"{total:,} with a vocabulary of {options['vocab_size']:,}",
        "parameters a rank": " to ".join(f"{n:,}" for n in ([counts[0], counts[-1]] if len(counts) > 1 else counts)),
        "memory a rank, at most": f"{_gib(sum(need.values()))} = " + " + ".join(f"{name} {_gib(size)}" for name, size in need.items()),
        "FLOPs a token": f"{flops:.3g}",
        "tokens": f"{tokens:,} = {_batches(stage, sequences)} x {stage.sequence_length}",
        "FLOPs in total": f"{flops * tokens:.3g}",
        "micro-batches a step": f"{stage.global_batch // (stage.micro_batch * data)}",
    }


def _batches(stage: Train, sequences: int) -> str:
    if stage.batch_ramp is None:
        return f"{stage.steps:,} steps x {stage.global_batch} sequences"
    return f"{sequences:,} sequences, in batches of {stage.batch_ramp[0]} to {stage.global_batch},"


def sizes(architecture: Architecture, layout: Parallel, place: int, **options: Any) -> dict[str, int]:
    """Elements of each parameter that a rank of pipeline stage `place` holds, by "role name"."""
    return {name: each.elements for name, each in held(architecture, layout, place, **options).items()}


def held(architecture: Architecture, layout: Parallel, place: int, **options: Any) -> dict[str, Held]:
    """The parameters that a rank of pipeline stage `place` holds, by "role name": built by the same code as in training, on
    torch's meta device, which keeps shapes and no values, in a process group that only pretends."""
    find_device()
    ranks = replace(layout, data=None).ranks(None)  # type: ignore[call-arg]
    with _pretended(ranks, rank=ranks // layout.pipeline * place), laid_out(layout, seed=0), _on_meta():
        chunks = build(architecture, parallel=layout, **options)
    named = [(f"{role_of(p)} {i}.{name}", p) for i, chunk in enumerate(chunks) for name, p in chunk.named_parameters()]
    return {name: Held(p.numel(), _whole(name, p, layout)) for name, p in named}


def _whole(name: str, parameter: torch.nn.Parameter, layout: Parallel) -> tuple[int, ...]:
    shape = list(parameter.shape)
    if getattr(parameter, "tensor_model_parallel", False):
        shape[vars(parameter)["partition_dim"]] *= (layout.expert_tensor or layout.tensor) if is_expert(name) else layout.tensor
    return tuple(shape)


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
    uncompiled(vars(torch._refs).values())  # they compute on the meta device
    current, move = torch.cuda.current_device, torch.Tensor.cuda
    torch.cuda.current_device = lambda: torch.device("meta")  # type: ignore[assignment, return-value]
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.cuda.current_device, torch.Tensor.cuda = current, move  # type: ignore[method-assign]


def _said(layout: Parallel, ranks: int, data: int) -> str:
    split = {"data": data, "context": layout.context, "tensor": layout.tensor, "pipeline": layout.pipeline}
    said = f"{ranks} = " + " x ".join(f"{name} {n}" for name, n in split.items() if name != "context" or n > 1)
    if layout.expert == 1:
        return said
    tensor = layout.expert_tensor or layout.tensor
    copies = ranks // (layout.pipeline * layout.expert * tensor)
    return f"{said}; of experts data {copies} x expert {layout.expert} x tensor {tensor} x pipeline {layout.pipeline}"


def _multiplied(name: str, architecture: Architecture) -> float:
    """Which part of the tokens are multiplied by it; an embedding is looked up, unless it is the output matrix too, and an expert sees
    those that are sent to it."""
    if "position_embeddings" in name or ("word_embeddings" in name and not architecture.tied_embeddings):
        return 0.0
    return getattr(architecture, "experts_per_token", 1) / getattr(architecture, "experts", 1) if is_expert(name) else 1.0


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"
