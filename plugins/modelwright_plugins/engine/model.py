"""From an architecture to the Megatron modules of this rank, and their initial weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.dist_checkpointing.mapping import ShardedTensor, ShardedTensorFactory
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.architecture import Architecture
from modelwright_plugins.attention import Attention
from modelwright_plugins.engine.fully_sharded import FullySharded
from modelwright_plugins.kernel import Kernel
from modelwright_plugins.parallel import Parallel
from modelwright_plugins.precision import Precision


def build(
    architecture: Architecture,
    *,
    parallel: Parallel,
    precision: Precision,
    kernel: Kernel,
    attention: Attention,
    vocab_size: int,
    sequence_length: int,
) -> list[MegatronModule]:
    """The modules that this rank holds, one for each virtual pipeline stage. Their weights are not set: see `initialise`."""

    def untouched(weight: torch.Tensor) -> torch.Tensor:
        return weight

    config = architecture.transformer_config(
        **parallel.settings(),
        **precision.settings(),
        **kernel.settings(),
        pipeline_dtype=precision.dtype(),
        init_method=untouched,
        output_layer_init_method=untouched,
        embedding_init_method=untouched,
        calculate_per_token_loss=True,  # the loss is a sum; gradients are divided once, by the tokens of the global batch
        finalize_model_grads_func=finalize_model_grads,  # without it shared and sequence-parallel gradients are silently not reduced
    )
    modules = kernel.modules()
    core_attention = attention.module(modules.core_attention())
    modules.core_attention = lambda: core_attention
    chunks = []
    for stage in range(parallel.virtual or 1):
        at = {"ignore_virtual": False, "vp_stage": stage} if parallel.virtual else {}
        module = architecture.build(
            config,
            modules,
            vocab_size=vocab_size,
            sequence_length=sequence_length,
            pre_process=parallel_state.is_pipeline_first_stage(**at),
            post_process=parallel_state.is_pipeline_last_stage(**at),
            vp_stage=stage if parallel.virtual else None,
        )
        chunks.append(module.to(precision.dtype()))
    return chunks


def distribute(
    chunks: list[MegatronModule], *, precision: Precision, sharded_gradients: bool, fully_sharded: bool
) -> list[DistributedDataParallel] | list[FullySharded]:
    """The modules with gradient buffers that data ranks reduce; `sharded_gradients` for Megatron's distributed optimizer.

    `fully_sharded`: with parameters and gradients that data ranks share out.
    """
    if fully_sharded:
        return [FullySharded(chunk.cuda(), precision.dtype()) for chunk in chunks]
    config = DistributedDataParallelConfig(
        grad_reduce_in_fp32=precision.grad_reduce_fp32, use_distributed_optimizer=sharded_gradients, overlap_grad_reduce=False
    )
    return [DistributedDataParallel(chunk.config, config, chunk.cuda()) for chunk in chunks]


@torch.no_grad()
def initialise(chunks: list[MegatronModule], architecture: Architecture, *, seed: int, vocab_size: int) -> None:
    """Set initial weights that depend on `seed` and on nothing of the layout.

    Each whole matrix is drawn from a generator of its own, seeded by the seed, its name in the checkpoint and its
    layer (and expert); each rank keeps its part. Biases are 0; what the architecture leaves out stays as its module made it.
    """
    for name, data, whole, offset in named_parts(chunks):
        if name.endswith(".bias"):
            data.zero_()
        layer, place = list(offset[: -len(whole)]), offset[-len(whole) :]
        digest = hashlib.sha256(repr((seed, name, layer)).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") % 2**63)
        if "word_embeddings" in name or "output_layer" in name:
            whole = (vocab_size, *whole[1:])  # how much padding there is depends on the layout
        drawn = architecture.initial_weights(name, whole, generator)
        if drawn is None:
            if (std := architecture.initial_std(name)) is None:
                continue
            drawn = torch.randn(whole, generator=generator).mul_(std)
        mine = drawn[tuple(slice(start, start + size) for start, size in zip(place, data.shape, strict=True))]
        data.zero_()
        data[: mine.shape[0]].copy_(mine)


def named_parts(chunks: list[MegatronModule]) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...], tuple[int, ...]]]:
    """(global name, this rank's part, shape of the whole, offset of the part: layer first if there are layers)."""

    def flat(value: Any) -> Iterator[ShardedTensor]:
        if isinstance(value, ShardedTensorFactory):
            value = value.build()
        if isinstance(value, ShardedTensor):
            yield value
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from flat(each)

    for chunk in chunks:
        for part in flat(chunk.sharded_state_dict()):
            if part.data is not None:
                yield part.key, part.data, part.global_shape[part.prepend_axis_num :], part.global_offset
